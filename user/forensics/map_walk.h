// Goes through all blocks of a map, in bulk, whatever its pointers say: bounded in bytes, time, chain length and in
// how much unreadable memory it tries. Judges nothing but where a chain ends.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "forensics/map_header.h"
#include "forensics/map_type.h"

namespace mapwatch::forensics {

struct MapLimits {
  std::uint64_t bytes = std::uint64_t{8} << 30;  ///< read from the target
  std::uint64_t time_ns = 10'000'000'000;
  std::uint64_t overflow_blocks = std::uint64_t{4} << 20;  ///< remembered, to see one that two chains share
  std::uint64_t chain_blocks = 1024;                       ///< in one chain
  std::uint64_t unreadable = 256;                          ///< blocks or tables that cannot be read
  std::uint64_t duplicate_window = 1 << 20;                ///< entries; in larger maps keys are compared within a block
                                                           ///< chain or table only
  std::uint64_t entries = 0;                               ///< decoded, for --show-keys
  std::size_t examples = 8;                                ///< places named for each defect
};

/// What is left of the limits. Once something ran out it stays so.
class MapBudget {
 public:
  MapBudget(const MapLimits& limits, const Clock& clock)
      : limits_(limits), clock_(clock), end_ns_(clock.monotonic_ns() + limits.time_ns) {}

  /// To be asked before each read of `bytes`; false: stop.
  bool spend(std::uint64_t bytes);
  /// One more block that cannot be read; false: stop.
  bool unreadable();
  /// Room to remember one more overflow block; false: stop.
  bool remember();

  const MapLimits& limits() const { return limits_; }
  bool exhausted() const { return !why_.empty(); }
  /// What ran out; empty: nothing did.
  const std::string& why() const { return why_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  MapLimits limits_;
  const Clock& clock_;
  std::uint64_t end_ns_;
  std::uint64_t bytes_ = 0;
  std::uint64_t unreadable_ = 0;
  std::uint64_t remembered_ = 0;
  std::string why_;
};

/// A bucket, an overflow bucket or a group, as it was read.
struct Block {
  std::uint64_t address = 0;
  std::span<const std::uint8_t> bytes;  ///< empty: not readable
};

enum class ChainEnd {
  kNil,          ///< as it should be
  kDangling,     ///< the next bucket's address cannot be read
  kLoop,         ///< the next bucket is in this chain already
  kShared,       ///< ... is in another chain
  kTooLong,      ///< beyond MapLimits::chain_blocks
  kNotFollowed,  ///< an evacuated old bucket: its chain is history
};

/// A bucket of the array and its overflow buckets.
struct Chain {
  bool old = false;  ///< of hmap.oldbuckets
  std::uint64_t index = 0;
  std::vector<Block> blocks;  ///< the first is the bucket itself
  ChainEnd end = ChainEnd::kNil;
  std::uint64_t link = 0;   ///< the address that ended it, unless nil
  std::string shared_with;  ///< kShared: "bucket 7"
};

/// A Swiss table, or the one group of a small map (address 0).
struct Table {
  std::uint64_t address = 0;
  std::uint64_t first = 0;   ///< the first place in the directory that refers to it
  std::uint64_t places = 1;  ///< that many places in a row
  bool readable = true;      ///< the table itself; its groups may still not be
  bool seen_before = false;  ///< an earlier, separate place refers to it too: `groups` is empty
  std::uint16_t used = 0;
  std::uint16_t capacity = 0;  ///< slots
  std::uint16_t growth_left = 0;
  std::uint8_t local_depth = 0;
  std::int64_t index = 0;  ///< as the table says; -1: no longer in the directory
  std::uint64_t groups_address = 0;
  std::uint64_t length_mask = 0;
  std::vector<Block> groups;  ///< empty: not readable

  bool small() const { return address == 0; }
};

class MapVisitor {
 public:
  virtual ~MapVisitor() = default;
  /// Buckets of an array, one behind another, whose chains come next. Returns the bytes it read from the target.
  virtual std::uint64_t upcoming(std::span<const std::uint8_t> blocks) = 0;
  /// Old buckets come first, then the current ones, each by index. The bytes live for the call.
  virtual void chain(const Chain& chain) = 0;
  /// By place in the directory.
  virtual void table(const Table& table) = 0;
};

/// Blocks of the arrays that no chain starts at for want of memory or budget are not visited; see MapBudget::why().
void walk_map(const Memory& memory, const MapType& type, const MapHeader& header, MapBudget& budget,
              MapVisitor& visitor);

/// True for a tophash byte that says "evacuated" (runtime/map.go: evacuatedX, evacuatedY, evacuatedEmpty).
inline bool evacuated_mark(std::uint8_t mark) { return mark >= 2 && mark <= 4; }

}  // namespace mapwatch::forensics
