// Passes questions on and writes each new answer to the recording, so that replay needs no binary.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_set>

#include "ingest/record_file.h"
#include "ingest/record_json.h"
#include "symbolize/symbolizer.h"

namespace mapwatch::symbolize {

class RecordingSymbolizer : public Symbolizer {
 public:
  /// Both must outlive it. A recording that cannot be written is the writer's to tell: answers go on.
  RecordingSymbolizer(Symbolizer& inner, ingest::RecordWriter& writer) : inner_(inner), writer_(writer) {}

  /// `tgid` is gone or runs another program: its answers are written anew.
  void forget_process(std::uint32_t tgid);

  std::vector<Frame> stack(std::uint32_t tgid, const std::vector<std::uint64_t>& pcs) override;
  std::vector<Frame> at(std::uint32_t tgid, std::uint64_t pc) override;
  std::string type_name(std::uint32_t tgid, std::uint64_t address) override;

 private:
  void record(ingest::SymbolRecord record);

  Symbolizer& inner_;
  ingest::RecordWriter& writer_;
  std::mutex mutex_;
  std::unordered_set<std::uint64_t> written_;  ///< hashes of what was asked
};

}  // namespace mapwatch::symbolize
