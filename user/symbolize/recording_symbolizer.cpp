#include "symbolize/recording_symbolizer.h"

#include <utility>

#include "symbolize/frame_record.h"

namespace mapwatch::symbolize {
namespace {

constexpr std::size_t kMaxRemembered = 1u << 16;  // beyond, answers are written again: larger files, never wrong ones

std::uint64_t hash_of(const ingest::SymbolRecord& record) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](std::uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  };
  add(record.tgid);
  add(static_cast<std::uint64_t>(record.kind));
  for (const std::uint64_t pc : record.pcs) {
    add(pc);
  }
  return hash;
}

}  // namespace

void RecordingSymbolizer::forget_process(std::uint32_t) {
  // Hashes do not tell whose they are; answers of other processes are merely written once more.
  const std::lock_guard lock(mutex_);
  written_.clear();
}

void RecordingSymbolizer::record(ingest::SymbolRecord record) {
  {
    const std::lock_guard lock(mutex_);
    if (written_.size() >= kMaxRemembered) {
      written_.clear();
    }
    if (!written_.insert(hash_of(record)).second) {
      return;
    }
  }
  // A failure is counted by the writer and told by its owner.
  (void)writer_.append(ingest::ChunkTag::kSymbols, ingest::encode(record));
}

std::vector<Frame> RecordingSymbolizer::stack(std::uint32_t tgid, const std::vector<std::uint64_t>& pcs) {
  std::vector<Frame> frames = inner_.stack(tgid, pcs);
  if (!pcs.empty()) {
    record({tgid, ingest::SymbolRecord::Kind::kStack, pcs, to_records(frames), ""});
  }
  return frames;
}

std::vector<Frame> RecordingSymbolizer::at(std::uint32_t tgid, std::uint64_t pc) {
  std::vector<Frame> frames = inner_.at(tgid, pc);
  record({tgid, ingest::SymbolRecord::Kind::kAt, {pc}, to_records(frames), ""});
  return frames;
}

std::string RecordingSymbolizer::type_name(std::uint32_t tgid, std::uint64_t address) {
  std::string name = inner_.type_name(tgid, address);
  record({tgid, ingest::SymbolRecord::Kind::kType, {address}, {}, name});
  return name;
}

}  // namespace mapwatch::symbolize
