#include <algorithm>
#include <bit>
#include <span>

#include <fmt/format.h>

#include "forensics/map_inspector.h"

namespace mapwatch::forensics {
namespace {

// internal/runtime/maps/group.go, table.go.
constexpr std::uint8_t kEmpty = 0x80;
constexpr std::uint8_t kDeleted = 0xfe;
constexpr std::uint64_t kMaxCapacity = 1024;  // maxTableCapacity: a table that outgrows it splits
constexpr std::uint64_t kGroupLoad = 7;       // maxAvgGroupLoad

std::uint64_t most_entries(std::uint64_t capacity, std::uint64_t slots) {
  return capacity <= slots ? capacity - 1 : capacity * kGroupLoad / slots;
}

std::string table_name(const Table& table) {
  return table.small() ? std::string("the group") : fmt::format("table {} ({:#x})", table.first, table.address);
}

bool has_empty(const Table& table, std::uint64_t group, const MapGeometry& g) {
  const auto marks = table.groups[group].bytes.subspan(g.marks_offset, g.slots);
  return std::ranges::find(marks, kEmpty) != marks.end();
}

}  // namespace

SwissInspector::SwissInspector(const MapType& type, const MapHeader& header, KeyChecks& keys, FindingList& findings)
    : type_(type),
      header_(header),
      swiss_(*header.swiss()),
      keys_(keys),
      findings_(findings),
      distribution_(std::max<std::uint64_t>(1, swiss_.directory_length) * kMaxCapacity) {
  check_header();
}

void SwissInspector::check_header() {
  const std::uint64_t at = header_.address;
  if (swiss_.directory == 0) {
    if (header_.count != 0) {
      findings_.add(MapDefect::kNoBuckets, at, fmt::format("used is {}, dirPtr is nil", header_.count));
    }
    return;
  }
  if (swiss_.directory_length == 0) {
    if (header_.count > type_.geometry.slots) {
      findings_.add(MapDefect::kDirectory, at,
                    fmt::format("{} entries cannot be in the one group of a small map", header_.count));
    }
    return;
  }
  const unsigned depth = swiss_.global_depth;
  if (depth > 48 || swiss_.directory_length != std::uint64_t{1} << depth || swiss_.global_shift != 64 - depth) {
    findings_.add(MapDefect::kDirectory, at,
                  fmt::format("dirLen is {}, globalDepth {}, globalShift {}", swiss_.directory_length, depth,
                              swiss_.global_shift));
  }
}

void SwissInspector::table(const Table& table) {
  if (!table.small()) {
    if (!table.readable) {
      findings_.add(MapDefect::kTableDangling, table.address,
                    fmt::format("place {} of the directory, {} in a row", table.first, table.places));
      return;
    }
    if (table.seen_before) {
      findings_.add(MapDefect::kTableScattered, table.address,
                    fmt::format("place {} of the directory leads to {:#x} again", table.first, table.address));
      return;
    }
    check_place(table);
    TableSummary& sum = totals_.tables;
    sum.least_depth = sum.tables == 0 ? table.local_depth : std::min<unsigned>(sum.least_depth, table.local_depth);
    sum.greatest_depth = std::max<unsigned>(sum.greatest_depth, table.local_depth);
    sum.shallow += table.local_depth < swiss_.global_depth ? 1 : 0;
    ++sum.tables;
  }
  if (table.groups.empty()) {
    const bool claimed = table.small() || table.length_mask < kMaxCapacity;
    if (claimed) {
      findings_.add(MapDefect::kUnreadable, table.groups_address, fmt::format("the groups of {}", table_name(table)));
    }
    return;
  }
  Counts sum;
  for (std::uint64_t group = 0; group < table.groups.size(); ++group) {
    const Counts counts = check_group(table, group);
    sum.live += counts.live;
    sum.tombstones += counts.tombstones;
    sum.empty += counts.empty;
    const std::uint64_t step = table.places * kMaxCapacity / table.groups.size();
    distribution_.block(table.first * kMaxCapacity + group * step, counts.live, type_.geometry.slots);
  }
  distribution_.slots(sum.tombstones, sum.empty);
  totals_.entries += sum.live;
  check_counts(table, sum);
  keys_.group_ends();
}

void SwissInspector::check_place(const Table& table) {
  const auto say = [&](MapDefect defect, std::string text) {
    findings_.add(defect, table.address, fmt::format("{}: {}", table_name(table), text));
  };
  const unsigned global = swiss_.global_depth;
  const std::uint64_t places =
      table.local_depth <= global && global < 64 ? std::uint64_t{1} << (global - table.local_depth) : 0;
  if (places != table.places) {
    say(MapDefect::kTableDepth, fmt::format("its depth is {} of {}, that is {} places, and {} lead to it",
                                            table.local_depth, global, places, table.places));
  }
  if (table.index != static_cast<std::int64_t>(table.first)) {
    say(MapDefect::kTableIndex, table.index == -1 ? std::string("it says that it left the directory (index -1)")
                                                  : fmt::format("it says that it is at place {}", table.index));
  }
  const std::uint64_t slots = type_.geometry.slots;
  if (!std::has_single_bit(table.capacity) || table.capacity < slots || table.capacity > kMaxCapacity ||
      table.length_mask + 1 != table.capacity / slots) {
    say(MapDefect::kTableCapacity, fmt::format("capacity {} with {} groups", table.capacity, table.length_mask + 1));
  }
}

SwissInspector::Counts SwissInspector::check_group(const Table& table, std::uint64_t number) {
  const MapGeometry& g = type_.geometry;
  const Block& group = table.groups[number];
  Counts counts;
  for (std::uint32_t slot = 0; slot < g.slots; ++slot) {
    const std::uint8_t mark = group.bytes[g.marks_offset + slot];
    const auto where = [&] {
      return table.small() ? fmt::format("slot {}", slot)
                           : fmt::format("{}, group {}, slot {}", table_name(table), number, slot);
    };
    ++totals_.marks;
    if (mark == kEmpty) {
      ++counts.empty;
    } else if (mark == kDeleted) {
      ++counts.tombstones;
      if (table.small() || (swiss_.has_tombstone_flag && !swiss_.tombstone_possible)) {
        findings_.add(MapDefect::kTombstone, group.address + slot, where());
      }
    } else if ((mark & 0x80) != 0) {
      ++totals_.illegal_marks;
      findings_.add(MapDefect::kIllegalControl, group.address + slot, fmt::format("{}: {:#04x}", where(), mark));
    } else {
      ++counts.live;
      if (const auto hash = keys_.entry(group, slot, LazyText(where))) {
        check_hash(table, number, *hash, mark, group.address + g.key_at(slot), LazyText(where));
      }
    }
  }
  return counts;
}

void SwissInspector::check_hash(const Table& table, std::uint64_t group, std::uint64_t hash, std::uint8_t mark,
                                std::uint64_t address, const LazyText& where) {
  const std::uint64_t place = swiss_.directory_length <= 1 ? 0 : hash >> (swiss_.global_shift & 63);
  if (place < table.first || place - table.first >= table.places) {
    keys_.misplaced(MapDefect::kWrongTable, address,
                    fmt::format("{}: its hash leads to place {} of the directory", where(), place));
    return;
  }
  if ((hash & 0x7f) != mark) {
    keys_.misplaced(MapDefect::kMarkMismatch, address,
                    fmt::format("{}: mark {:#04x}, its hash gives {:#04x}", where(), mark, hash & 0x7f));
    return;
  }
  // maps.makeProbeSeq: triangular steps, until a group with an empty slot.
  const std::uint64_t mask = table.groups.size() - 1;
  std::uint64_t at = (hash >> 7) & mask;
  for (std::uint64_t step = 1; step <= table.groups.size(); ++step) {
    if (at == group) {
      keys_.well_placed();
      distribution_.probe(step);
      return;
    }
    if (has_empty(table, at, type_.geometry)) {
      break;
    }
    at = (at + step) & mask;
  }
  keys_.misplaced(MapDefect::kUnreachableKey, address,
                  fmt::format("{}: lookups start at group {} and stop at group {}", where(), (hash >> 7) & mask, at));
}

void SwissInspector::check_counts(const Table& table, const Counts& counts) {
  if (table.small()) {
    return;
  }
  const auto say = [&](MapDefect defect, std::string text) {
    findings_.add(defect, table.address, fmt::format("{}: {}", table_name(table), text));
  };
  const std::uint64_t slots = table.groups.size() * type_.geometry.slots;
  const std::uint64_t most = most_entries(slots, type_.geometry.slots);
  if (table.used != counts.live) {
    say(MapDefect::kTableUsed, fmt::format("used is {}, {} entries were found", table.used, counts.live));
  }
  if (table.growth_left + counts.live + counts.tombstones != most) {
    say(MapDefect::kGrowthLeft,
        fmt::format("growthLeft is {} with {} entries and {} deleted slots of {} in use at most", table.growth_left,
                    counts.live, counts.tombstones, most));
  }
  if (counts.empty == 0) {
    say(MapDefect::kNoEmptySlot, fmt::format("{} entries, {} deleted slots", counts.live, counts.tombstones));
  }
  TableSummary& sum = totals_.tables;
  sum.slots += slots;
  sum.growth_left += table.growth_left;
  sum.tombstones += counts.tombstones;
  if (table.growth_left == 0) {
    ++sum.growth_due;
    sum.splits_due += slots >= kMaxCapacity ? 1 : 0;
  }
}

void SwissInspector::finish(bool complete) {
  if (complete && totals_.entries != header_.count) {
    findings_.add(MapDefect::kCount, header_.address,
                  fmt::format("used is {}, {} entries were found", header_.count, totals_.entries));
  }
}

}  // namespace mapwatch::forensics
