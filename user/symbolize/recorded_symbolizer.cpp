#include "symbolize/recorded_symbolizer.h"

#include <utility>

namespace mapwatch::symbolize {
namespace {

std::vector<Frame> to_frames(const ingest::SymbolRecord* record) {
  std::vector<Frame> frames;
  if (record != nullptr) {
    for (const ingest::FrameRecord& frame : record->frames) {
      frames.push_back(
          {frame.func, frame.file, frame.line, frame.pc, frame.offset, frame.inlined, frame.runtime, frame.user});
    }
  }
  return frames;
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
  std::vector<Frame> frames = to_frames(find(tgid, ingest::SymbolRecord::Kind::kStack, pcs));
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
  return to_frames(find(tgid, ingest::SymbolRecord::Kind::kAt, {pc}));
}

std::string RecordedSymbolizer::type_name(std::uint32_t tgid, std::uint64_t address) {
  const ingest::SymbolRecord* record = find(tgid, ingest::SymbolRecord::Kind::kType, {address});
  return record == nullptr ? "" : record->name;
}

}  // namespace mapwatch::symbolize
