// Frames as a recording holds them.
#pragma once

#include <vector>

#include "ingest/record_json.h"
#include "symbolize/symbolizer.h"

namespace mapwatch::symbolize {

inline ingest::FrameRecord to_record(const Frame& frame) {
  return {frame.func, frame.file, frame.line, frame.pc, frame.offset, frame.inlined, frame.runtime, frame.user};
}

inline Frame to_frame(const ingest::FrameRecord& frame) {
  return {frame.func, frame.file, frame.line, frame.pc, frame.offset, frame.inlined, frame.runtime, frame.user};
}

inline std::vector<ingest::FrameRecord> to_records(const std::vector<Frame>& frames) {
  std::vector<ingest::FrameRecord> records;
  for (const Frame& frame : frames) {
    records.push_back(to_record(frame));
  }
  return records;
}

inline std::vector<Frame> to_frames(const std::vector<ingest::FrameRecord>& records) {
  std::vector<Frame> frames;
  for (const ingest::FrameRecord& record : records) {
    frames.push_back(to_frame(record));
  }
  return frames;
}

}  // namespace mapwatch::symbolize
