// Answers from a recording.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "ingest/record_json.h"
#include "symbolize/symbolizer.h"

namespace mapwatch::symbolize {

class RecordedSymbolizer : public Symbolizer {
 public:
  static constexpr std::size_t kMaxBytes = 256u << 20;

  /// An answer that holds for the `epoch`-th program of its process (the number of 'P' chunks before, of that tgid).
  void add(ingest::SymbolRecord record, std::uint64_t epoch);
  /// From now on `tgid` runs its `epoch`-th program.
  void set_epoch(std::uint32_t tgid, std::uint64_t epoch) { epochs_[tgid] = epoch; }
  /// Answers that found no room under kMaxBytes.
  std::uint64_t dropped() const { return dropped_; }

  std::vector<Frame> stack(std::uint32_t tgid, const std::vector<std::uint64_t>& pcs) override;
  std::vector<Frame> at(std::uint32_t tgid, std::uint64_t pc) override;
  std::string type_name(std::uint32_t tgid, std::uint64_t address) override;

 private:
  using Key = std::tuple<std::uint32_t, std::uint64_t, ingest::SymbolRecord::Kind, std::vector<std::uint64_t>>;

  const ingest::SymbolRecord* find(std::uint32_t tgid, ingest::SymbolRecord::Kind kind,
                                   const std::vector<std::uint64_t>& pcs) const;

  std::map<Key, ingest::SymbolRecord> answers_;
  std::unordered_map<std::uint32_t, std::uint64_t> epochs_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace mapwatch::symbolize
