// The header of a map, for both layouts: what runtime.hmap or internal/runtime/maps.Map says of itself. Sources:
// runtime/map.go (Go 1.17-1.23, map_noswiss.go in 1.24-1.25), internal/runtime/maps/map.go (1.24-1.27).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "forensics/map_type.h"

namespace mapwatch::forensics {

/// runtime.hmap.
struct BucketHeader {
  std::uint8_t flags = 0;
  std::uint8_t b = 0;                ///< log2 of the number of buckets
  std::uint16_t overflow_count = 0;  ///< noverflow: exact below 2^16 buckets, an estimate above
  std::uint32_t seed = 0;
  std::uint64_t buckets = 0;
  std::uint64_t old_buckets = 0;  ///< 0: not growing
  std::uint64_t evacuated = 0;    ///< nevacuate: the old buckets before it are evacuated
  std::uint64_t extra = 0;

  bool same_size_growth() const { return (flags & 8) != 0; }
  std::uint64_t bucket_count() const { return b < 64 ? std::uint64_t{1} << b : 0; }
  /// 0 when not growing.
  std::uint64_t old_bucket_count() const {
    return old_buckets == 0 ? 0 : same_size_growth() ? bucket_count() : bucket_count() / 2;
  }
};

/// internal/runtime/maps.Map.
struct SwissHeader {
  std::uint64_t seed = 0;
  std::uint64_t directory = 0;         ///< dirPtr: array of tables, or one group
  std::uint64_t directory_length = 0;  ///< 0: small map, one group
  std::uint8_t global_depth = 0;
  std::uint8_t global_shift = 0;
  std::uint8_t writing = 0;
  bool has_tombstone_flag = false;  ///< Go 1.25+
  bool tombstone_possible = false;
  std::uint64_t clear_sequence = 0;
};

struct MapHeader {
  std::uint64_t address = 0;
  std::uint64_t count = 0;              ///< entries, as len() says
  bool writing = false;                 ///< the writing mark is set: a goroutine is inside a write
  std::vector<std::string> flag_words;  ///< "iterator", "old iterator", "writing", "same-size growth", ...
  std::variant<BucketHeader, SwissHeader> layout;

  const BucketHeader* buckets() const { return std::get_if<BucketHeader>(&layout); }
  const SwissHeader* swiss() const { return std::get_if<SwissHeader>(&layout); }
  friend bool operator==(const MapHeader&, const MapHeader&) = default;
};

bool operator==(const BucketHeader&, const BucketHeader&);
bool operator==(const SwissHeader&, const SwissHeader&);

/// kMalformed when the header is not readable. Its contents are not judged here.
Result<MapHeader> read_map_header(const Memory& memory, const TypeSpace& space, std::uint64_t address);

/// Whether the next insertion of a new key makes the map grow, and why; what can be told from the header alone. For
/// Swiss maps with tables the tables decide: see TableSummary.
struct GrowthDue {
  bool due = false;
  bool growing = false;  ///< a growth is under way: the next one waits for its end
  double load = 0;       ///< entries a bucket; the limit is `limit`
  double limit = 0;
  std::string why;  ///< one sentence
};
GrowthDue growth_due(const MapHeader& header, const MapType& type, int minor);

}  // namespace mapwatch::forensics
