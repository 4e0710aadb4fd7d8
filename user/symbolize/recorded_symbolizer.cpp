#include "symbolize/recorded_symbolizer.h"

#include <utility>

#include "symbolize/frame_record.h"

namespace mapwatch::symbolize {
namespace {

std::vector<Frame> frames_of(const ingest::SymbolRecord* record) {
  return record == nullptr ? std::vector<Frame>() : to_frames(record->frames);
}

std::size_t weight(const ingest::SymbolRecord& record) {
  std::size_t bytes = 2 * sizeof(record) + 2 * record.pcs.size() * sizeof(std::uint64_t) + record.name.size();
  for (const ingest::FrameRecord& frame : record.frames) {
    bytes += sizeof(frame) + frame.func.size() + frame.file.size();
  }
  return bytes;
}

}  // namespace

void RecordedSymbolizer::add(ingest::SymbolRecord record, std::uint64_t epoch) {
  const std::size_t bytes = weight(record);
  if (bytes_ + bytes > kMaxBytes) {
    ++dropped_;
    return;
  }
  Key key{record.tgid, epoch, record.kind, record.pcs};
  if (answers_.emplace(std::move(key), std::move(record)).second) {
    bytes_ += bytes;
  }
}

const ingest::SymbolRecord* RecordedSymbolizer::find(std::uint32_t tgid, ingest::SymbolRecord::Kind kind,
                                                     const std::vector<std::uint64_t>& pcs) const {
  const auto epoch = epochs_.find(tgid);
  const auto found = answers_.find({tgid, epoch == epochs_.end() ? 0 : epoch->second, kind, pcs});
  return found == answers_.end() ? nullptr : &found->second;
}

std::vector<Frame> RecordedSymbolizer::stack(std::uint32_t tgid, const std::vector<std::uint64_t>& pcs) {
  std::vector<Frame> frames = frames_of(find(tgid, ingest::SymbolRecord::Kind::kStack, pcs));
  if (frames.empty()) {  // never printed while it was recorded: addresses are still better than nothing
    for (const std::uint64_t pc : pcs) {
      Frame frame;
      frame.func.assign(1, '?');
      frame.pc = pc;
      frames.push_back(std::move(frame));
    }
  }
  return frames;
}

std::vector<Frame> RecordedSymbolizer::at(std::uint32_t tgid, std::uint64_t pc) {
  return frames_of(find(tgid, ingest::SymbolRecord::Kind::kAt, {pc}));
}

std::string RecordedSymbolizer::type_name(std::uint32_t tgid, std::uint64_t address) {
  const ingest::SymbolRecord* record = find(tgid, ingest::SymbolRecord::Kind::kType, {address});
  return record == nullptr ? "" : record->name;
}

}  // namespace mapwatch::symbolize
