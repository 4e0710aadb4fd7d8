// Checks of single entries: is the key readable, is it in the map twice, does its hash lead to where it lies.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "forensics/key_hasher.h"
#include "forensics/key_prefetch.h"
#include "forensics/map_findings.h"
#include "forensics/map_walk.h"

namespace mapwatch::forensics {

/// An entry as it was found. The bytes live for the call.
struct Entry {
  std::uint64_t key_address = 0;
  std::uint64_t element_address = 0;
  std::span<const std::uint8_t> key;
};

/// What is known of all hashes together. Findings that rest on hashes are only made when most keys agree.
struct HashStatistics {
  std::string unavailable;  ///< why no hash was computed; empty: they were
  std::uint64_t computed = 0;
  std::uint64_t agree = 0;    ///< the entry lies where its hash leads
  std::uint64_t skipped = 0;  ///< keys whose hash cannot be told (NaN, unreadable, a type that is not computed)
};

class KeyChecks {
 public:
  using EntrySink = std::function<void(const Entry&)>;

  KeyChecks(TypeReader& types, const MapType& map, const HashSource& source, std::uint64_t seed, bool narrow_window,
            FindingList& findings);

  void set_sink(EntrySink sink) { sink_ = std::move(sink); }
  /// Blocks whose entries come next: what their keys point to is read at once. Returns the bytes read.
  std::uint64_t upcoming(std::span<const std::uint8_t> blocks) { return prefetch_.fetch(blocks); }
  /// The entry in `slot` of `block`, at the place that `where` describes. Returns its hash, if it can be told.
  std::optional<std::uint64_t> entry(const Block& block, std::uint32_t slot, const LazyText& where);
  /// A key lies where its hash does not lead to; reported by finish() if hashes are to be trusted.
  void misplaced(MapDefect defect, std::uint64_t address, std::string text);
  void well_placed() { ++statistics_.agree; }
  /// All keys that could be equal to each other have been seen (a chain, a table): compares them in a large map.
  void group_ends();
  /// Compares what is left, and judges the hashes.
  void finish();
  const HashStatistics& statistics() const { return statistics_; }
  bool hashes() const { return statistics_.unavailable.empty(); }

 private:
  struct Seen {
    std::uint64_t fingerprint = 0;
    std::uint64_t key_address = 0;
  };
  struct Misplaced {
    MapDefect defect;
    std::uint64_t address;
    std::string text;
  };

  std::optional<std::span<const std::uint8_t>> key_bytes(const Block& block, std::uint32_t slot,
                                                         std::uint64_t& address);
  void compare();
  bool equal(std::uint64_t a, std::uint64_t b);

  TypeReader& types_;
  const MapType& map_;
  KeyHasher hasher_;
  KeyPrefetch prefetch_;
  std::uint64_t seed_;
  bool narrow_window_;
  FindingList& findings_;
  EntrySink sink_;
  HashStatistics statistics_;
  std::vector<Seen> seen_;
  std::vector<Misplaced> misplaced_;
  std::vector<std::uint8_t> boxed_;  ///< the indirect key at hand
  std::string content_;
};

}  // namespace mapwatch::forensics
