// What can be wrong with a map, each with what it means and how it can come about.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mapwatch::forensics {

enum class MapDefect : std::uint8_t {
  // Both layouts.
  kCount,
  kUnreadable,
  kDanglingKey,
  kDuplicateKey,
  kMarkMismatch,
  // Buckets.
  kNoBuckets,
  kBucketCount,
  kIllegalTophash,
  kAfterEmptyRest,
  kOverflowLoop,
  kOverflowDangling,
  kOverflowShared,
  kOverflowTooLong,
  kOverflowCount,
  kEvacuationMark,
  kHalfEvacuated,
  kNotEvacuated,
  kEntryBeforeEvacuation,
  kOldBuckets,
  kWrongBucket,
  // Swiss.
  kIllegalControl,
  kDirectory,
  kTableDangling,
  kTableDepth,
  kTableIndex,
  kTableScattered,
  kTableCapacity,
  kTableUsed,
  kGrowthLeft,
  kNoEmptySlot,
  kTombstone,
  kWrongTable,
  kUnreachableKey,
};

struct DefectText {
  std::string_view code;     ///< "overflow_loop": stable, for machines
  std::string_view meaning;  ///< what it means for the program
  std::string_view cause;    ///< how it can come about
  bool transient = false;    ///< a write that is under way can look like this
};

const DefectText& describe(MapDefect defect);

struct DefectExample {
  std::uint64_t address = 0;  ///< of the block, table or word
  std::string text;           ///< "bucket 17, overflow 2, slot 3: mark 0x03"
};

struct MapFinding {
  MapDefect defect = MapDefect::kCount;
  std::uint64_t count = 0;
  std::vector<DefectExample> examples;  ///< the first few
  /// The writing mark was set and this defect can be a write in progress: no proof of damage.
  bool explained_by_write = false;
};

/// A text that is only made when somebody wants it. Refers to its maker, which must outlive it.
class LazyText {
 public:
  template <typename Make>
  explicit LazyText(const Make& make)
      : make_(&make), call_([](const void* made_by) { return (*static_cast<const Make*>(made_by))(); }) {}
  std::string operator()() const { return call_(make_); }

 private:
  const void* make_;
  std::string (*call_)(const void*);
};

/// Gathers findings, one for each kind of defect.
class FindingList {
 public:
  FindingList(bool writing, std::size_t examples) : writing_(writing), examples_(examples) {}

  void add(MapDefect defect, std::uint64_t address, std::string text);
  /// In order of first occurrence.
  std::vector<MapFinding> take() { return std::move(findings_); }
  bool has(MapDefect defect) const;
  /// True while add() would still keep the text: for callers that make it at some cost.
  bool wants_example(MapDefect defect) const;

 private:
  bool writing_;
  std::size_t examples_;
  std::vector<MapFinding> findings_;
};

}  // namespace mapwatch::forensics
