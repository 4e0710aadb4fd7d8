#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "forensics/map_inspector.h"

namespace mapwatch::forensics {
namespace {

// runtime/map.go: emptyRest, emptyOne, minTopHash.
constexpr std::uint8_t kEmptyRest = 0;
constexpr std::uint8_t kEmptyOne = 1;
constexpr std::uint8_t kMinTophash = 5;
constexpr unsigned kMaxB = 40;  // 2^40 buckets of 8 bytes are more than the address space of a process holds

std::uint8_t tophash(std::uint64_t hash) {
  const auto top = static_cast<std::uint8_t>(hash >> 56);
  return top < kMinTophash ? static_cast<std::uint8_t>(top + kMinTophash) : top;
}

std::string place(const Chain& chain, std::size_t number) {
  const char* old = chain.old ? "old " : "";
  return number == 0 ? fmt::format("{}bucket {}", old, chain.index)
                     : fmt::format("{}bucket {}, overflow {}", old, chain.index, number);
}

}  // namespace

BucketInspector::BucketInspector(const MapType& type, const MapHeader& header, KeyChecks& keys, FindingList& findings)
    : type_(type),
      header_(header),
      buckets_(*header.buckets()),
      keys_(keys),
      findings_(findings),
      distribution_(buckets_.bucket_count()) {
  check_header();
}

void BucketInspector::check_header() {
  const std::uint64_t at = header_.address;
  if (buckets_.b > kMaxB) {
    findings_.add(MapDefect::kBucketCount, at, fmt::format("B is {}", buckets_.b));
  }
  if (buckets_.buckets == 0 && header_.count != 0) {
    findings_.add(MapDefect::kNoBuckets, at, fmt::format("count is {}, buckets is nil", header_.count));
  }
  if (buckets_.old_buckets == 0) {
    if (buckets_.same_size_growth()) {
      findings_.add(MapDefect::kOldBuckets, at, "the flag says same-size growth, oldbuckets is nil");
    }
    return;
  }
  if (buckets_.old_buckets == buckets_.buckets) {
    findings_.add(MapDefect::kOldBuckets, at, fmt::format("oldbuckets and buckets are both {:#x}", buckets_.buckets));
  }
  if (buckets_.old_bucket_count() == 0) {
    findings_.add(MapDefect::kOldBuckets, at, "the map has one bucket and cannot have grown to it");
  }
  if (buckets_.evacuated >= buckets_.old_bucket_count()) {
    findings_.add(MapDefect::kEvacuationMark, at,
                  fmt::format("nevacuate is {} of {} old buckets, and they are still there", buckets_.evacuated,
                              buckets_.old_bucket_count()));
  }
}

void BucketInspector::chain(const Chain& chain) {
  check_end(chain);
  if (chain.old) {
    check_old(chain);
    if (chain.end == ChainEnd::kNotFollowed) {
      return;
    }
  }
  bool ended = false;
  std::uint64_t live = 0;
  for (std::size_t i = 0; i < chain.blocks.size(); ++i) {
    const std::uint64_t here = check_block(chain, i, ended);
    for (std::uint64_t found = 0; found < here; ++found) {
      distribution_.probe(i + 1);
    }
    live += here;
  }
  totals_.entries += live;
  if (chain.old) {
    totals_.old_entries += live;
    keys_.group_ends();
    return;
  }
  totals_.overflow_blocks += chain.blocks.size() - 1;
  const bool waiting = buckets_.old_buckets != 0 && !old_evacuated(chain.index);
  if (waiting && live != 0) {
    findings_.add(MapDefect::kEntryBeforeEvacuation, chain.blocks[0].address,
                  fmt::format("bucket {} has {} entries, its old bucket {} is not evacuated", chain.index, live,
                              chain.index % buckets_.old_bucket_count()));
  }
  if (!waiting) {
    distribution_.block(chain.index, live, type_.geometry.slots);
    distribution_.overflow(chain.blocks.size() - 1);
  }
  keys_.group_ends();
}

void BucketInspector::check_end(const Chain& chain) {
  const Block& last = chain.blocks.back();
  const std::string from = place(chain, chain.blocks.size() - 1);
  for (std::size_t i = 0; i < chain.blocks.size(); ++i) {
    if (chain.blocks[i].bytes.empty()) {
      findings_.add(MapDefect::kUnreadable, chain.blocks[i].address, place(chain, i));
    }
  }
  switch (chain.end) {
    case ChainEnd::kNil:
    case ChainEnd::kNotFollowed:
      return;
    case ChainEnd::kDangling:
      findings_.add(MapDefect::kOverflowDangling, last.address, fmt::format("{} leads to {:#x}", from, chain.link));
      return;
    case ChainEnd::kLoop:
      findings_.add(MapDefect::kOverflowLoop, last.address, fmt::format("{} leads back to {:#x}", from, chain.link));
      return;
    case ChainEnd::kShared:
      findings_.add(MapDefect::kOverflowShared, last.address,
                    fmt::format("{} leads to {:#x} of {}", from, chain.link, chain.shared_with));
      return;
    case ChainEnd::kTooLong:
      findings_.add(MapDefect::kOverflowTooLong, last.address,
                    fmt::format("{} and its overflow buckets: {} and more", place(chain, 0), chain.blocks.size()));
      return;
  }
}

/// An old bucket is evacuated wholly or not at all (runtime/map.go, "Possible tophash values").
void BucketInspector::check_old(const Chain& chain) {
  evacuated_.resize(chain.index + 1);
  const Block& bucket = chain.blocks[0];
  if (bucket.bytes.empty()) {
    return;
  }
  const auto marks = bucket.bytes.subspan(type_.geometry.marks_offset, type_.geometry.slots);
  const auto moved = static_cast<std::size_t>(std::ranges::count_if(marks, evacuated_mark));
  evacuated_[chain.index] = evacuated_mark(marks[0]);
  totals_.old_evacuated += evacuated_[chain.index] ? 1 : 0;
  if (moved != 0 && moved != marks.size()) {
    findings_.add(MapDefect::kHalfEvacuated, bucket.address,
                  fmt::format("old bucket {}: {} of {} slots are evacuated", chain.index, moved, marks.size()));
  }
  if (!evacuated_[chain.index] && chain.index < buckets_.evacuated) {
    findings_.add(MapDefect::kNotEvacuated, bucket.address,
                  fmt::format("old bucket {} is not evacuated, nevacuate is {}", chain.index, buckets_.evacuated));
  }
}

bool BucketInspector::old_evacuated(std::uint64_t bucket) const {
  const std::uint64_t count = buckets_.old_bucket_count();
  const std::uint64_t index = count == 0 ? 0 : bucket % count;
  return index >= evacuated_.size() || evacuated_[index];  // what was not visited is not accused
}

std::uint64_t BucketInspector::check_block(const Chain& chain, std::size_t number, bool& ended) {
  const Block& block = chain.blocks[number];
  if (block.bytes.empty()) {
    return 0;
  }
  const MapGeometry& g = type_.geometry;
  std::uint64_t live = 0;
  std::uint64_t deleted = 0;
  for (std::uint32_t slot = 0; slot < g.slots; ++slot) {
    const std::uint8_t mark = block.bytes[g.marks_offset + slot];
    const auto where = [&] { return fmt::format("{}, slot {}", place(chain, number), slot); };
    ++totals_.marks;
    if (mark == kEmptyRest || mark == kEmptyOne) {
      ended |= mark == kEmptyRest;
      deleted += mark == kEmptyOne ? 1 : 0;
      continue;
    }
    if (evacuated_mark(mark)) {
      ++totals_.illegal_marks;
      // In an old bucket it is reported with its bucket, by check_old().
      if (!chain.old || number != 0) {
        findings_.add(MapDefect::kIllegalTophash, block.address + slot, fmt::format("{}: mark {:#04x}", where(), mark));
      }
      continue;
    }
    if (ended) {
      findings_.add(MapDefect::kAfterEmptyRest, block.address + slot, fmt::format("{}: mark {:#04x}", where(), mark));
    }
    ++live;
    if (const auto hash = keys_.entry(block, slot, LazyText(where))) {
      check_hash(chain, *hash, mark, block.address + g.key_at(slot), LazyText(where));
    }
  }
  distribution_.slots(deleted, g.slots - live - deleted);
  return live;
}

void BucketInspector::check_hash(const Chain& chain, std::uint64_t hash, std::uint8_t mark, std::uint64_t address,
                                 const LazyText& where) {
  const std::uint64_t count = chain.old ? buckets_.old_bucket_count() : buckets_.bucket_count();
  const std::uint64_t wanted = count == 0 ? 0 : hash & (count - 1);
  if (wanted != chain.index) {
    keys_.misplaced(MapDefect::kWrongBucket, address, fmt::format("{}: its hash leads to bucket {}", where(), wanted));
  } else if (tophash(hash) != mark) {
    keys_.misplaced(MapDefect::kMarkMismatch, address,
                    fmt::format("{}: mark {:#04x}, its hash gives {:#04x}", where(), mark, tophash(hash)));
  } else {
    keys_.well_placed();
  }
}

void BucketInspector::finish(bool complete) {
  if (!complete) {
    return;
  }
  if (totals_.entries != header_.count) {
    findings_.add(MapDefect::kCount, header_.address,
                  fmt::format("count is {}, {} entries were found", header_.count, totals_.entries));
  }
  if (buckets_.b < 16 && buckets_.buckets != 0 && totals_.overflow_blocks != buckets_.overflow_count) {
    findings_.add(MapDefect::kOverflowCount, header_.address,
                  fmt::format("noverflow is {}, {} overflow buckets were found", buckets_.overflow_count,
                              totals_.overflow_blocks));
  }
}

}  // namespace mapwatch::forensics
