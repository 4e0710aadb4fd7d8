#include "forensics/map_walk.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

constexpr std::uint64_t kChunk = 1 << 20;        // bytes read at once from an array of buckets
constexpr std::uint64_t kMaxGroups = 65536 / 8;  // table.capacity is a uint16

std::uint64_t load_word(std::span<const std::uint8_t> bytes, std::uint64_t offset) {
  std::uint64_t word = 0;
  if (offset + 8 <= bytes.size()) {
    std::memcpy(&word, bytes.data() + offset, 8);
  }
  return word;
}

/// hmap's arrays.
class BucketWalk {
 public:
  BucketWalk(const Memory& memory, const MapType& type, const BucketHeader& header, MapBudget& budget,
             MapVisitor& visitor)
      : memory_(memory), geometry_(type.geometry), header_(header), budget_(budget), visitor_(visitor) {}

  void run() {
    if (header_.old_buckets != 0) {
      walk_array(header_.old_buckets, header_.old_bucket_count(), true);
    }
    if (header_.buckets != 0) {
      walk_array(header_.buckets, header_.bucket_count(), false);
    }
  }

 private:
  void walk_array(std::uint64_t base, std::uint64_t count, bool old) {
    const std::uint64_t size = geometry_.block_bytes;
    const std::uint64_t per_chunk = std::max<std::uint64_t>(1, kChunk / size);
    std::vector<std::uint8_t> chunk(per_chunk * size);
    for (std::uint64_t first = 0; first < count && !budget_.exhausted(); first += per_chunk) {
      const std::uint64_t here = std::min(per_chunk, count - first);
      if (!budget_.spend(here * size)) {
        return;
      }
      const bool whole = memory_.read(base + first * size, std::span(chunk).first(here * size));
      if (whole && !budget_.spend(visitor_.upcoming(std::span(chunk).first(here * size)))) {
        return;
      }
      for (std::uint64_t i = 0; i < here && budget_.spend(0); ++i) {
        const std::span<std::uint8_t> bytes = std::span(chunk).subspan(i * size, size);
        const std::uint64_t address = base + (first + i) * size;
        const bool good = whole || memory_.read(address, bytes);
        if (!good && !budget_.unreadable()) {
          return;
        }
        follow({address, good ? bytes : std::span<std::uint8_t>()}, first + i, old);
      }
    }
  }

  void follow(Block bucket, std::uint64_t index, bool old) {
    Chain chain;
    chain.old = old;
    chain.index = index;
    chain.blocks.push_back(bucket);
    storage_.clear();
    if (old && !bucket.bytes.empty() && evacuated_mark(bucket.bytes[geometry_.marks_offset])) {
      chain.end = ChainEnd::kNotFollowed;
      visitor_.chain(chain);
      return;
    }
    std::uint64_t next = load_word(bucket.bytes, geometry_.overflow_offset);
    while (next != 0 && !ends_at(next, chain)) {
      if (!budget_.spend(geometry_.block_bytes) || !budget_.remember()) {
        break;  // the chain is visited as far as it was read; the whole is marked partial
      }
      storage_.emplace_back(geometry_.block_bytes);
      if (next % 8 != 0 || !memory_.read(next, storage_.back())) {
        chain.end = ChainEnd::kDangling;
        chain.link = next;
        budget_.unreadable();
        break;
      }
      seen_.emplace(next, Owner{old, index});
      chain.blocks.push_back({next, storage_.back()});
      next = load_word(storage_.back(), geometry_.overflow_offset);
    }
    visitor_.chain(chain);
  }

  /// True when the chain cannot go on to `next`; says so in `chain`.
  bool ends_at(std::uint64_t next, Chain& chain) const {
    chain.link = next;
    const auto known = seen_.find(next);
    const Owner* owner = known == seen_.end() ? nullptr : &known->second;
    const auto in_array = owner_in_arrays(next);
    if (owner == nullptr && in_array) {
      owner = &*in_array;
    }
    if (owner != nullptr) {
      const bool own = owner->old == chain.old && owner->index == chain.index;
      chain.end = own ? ChainEnd::kLoop : ChainEnd::kShared;
      chain.shared_with = fmt::format("{}bucket {}", owner->old ? "old " : "", owner->index);
      return true;
    }
    if (chain.blocks.size() >= budget_.limits().chain_blocks) {
      chain.end = ChainEnd::kTooLong;
      return true;
    }
    chain.link = 0;
    return false;
  }

  struct Owner {
    bool old = false;
    std::uint64_t index = 0;
  };

  /// The bucket of one of the two arrays that is at `address`. Overflow buckets lie behind the array, not in it.
  std::optional<Owner> owner_in_arrays(std::uint64_t address) const {
    const auto inside = [&](std::uint64_t base, std::uint64_t count) -> std::optional<std::uint64_t> {
      const std::uint64_t index = (address - base) / geometry_.block_bytes;
      return base != 0 && address >= base && index < count ? std::optional(index) : std::nullopt;
    };
    if (const auto index = inside(header_.buckets, header_.bucket_count())) {
      return Owner{false, *index};
    }
    if (const auto index = inside(header_.old_buckets, header_.old_bucket_count())) {
      return Owner{true, *index};
    }
    return std::nullopt;
  }

  const Memory& memory_;
  const MapGeometry& geometry_;
  const BucketHeader& header_;
  MapBudget& budget_;
  MapVisitor& visitor_;
  std::vector<std::vector<std::uint8_t>> storage_;  ///< overflow buckets of the chain at hand
  std::unordered_map<std::uint64_t, Owner> seen_;   ///< overflow buckets of all chains so far
};

/// maps.Map: a directory of tables, or one group.
class SwissWalk {
 public:
  SwissWalk(const Memory& memory, const MapType& type, const SwissHeader& header, MapBudget& budget,
            MapVisitor& visitor)
      : memory_(memory), geometry_(type.geometry), header_(header), budget_(budget), visitor_(visitor) {}

  void run() {
    if (header_.directory == 0) {
      return;
    }
    if (header_.directory_length == 0) {
      Table table;
      table.groups_address = header_.directory;
      table.capacity = static_cast<std::uint16_t>(geometry_.slots);
      if (read_groups(table, 1)) {
        visitor_.table(table);
      }
      return;
    }
    constexpr std::uint64_t kPerChunk = kChunk / 8;
    std::vector<std::uint64_t> places;
    for (std::uint64_t first = 0; first < header_.directory_length && !budget_.exhausted(); first += kPerChunk) {
      const std::uint64_t here = std::min(kPerChunk, header_.directory_length - first);
      places.resize(here);
      if (!budget_.spend(here * 8)) {
        return;
      }
      if (!memory_.read(header_.directory + first * 8,
                        {reinterpret_cast<std::uint8_t*>(places.data()), places.size() * 8})) {
        Table missing;
        missing.address = header_.directory + first * 8;
        missing.first = first;
        missing.places = here;
        missing.readable = false;
        budget_.unreadable();
        flush();
        visitor_.table(missing);
        return;
      }
      for (std::uint64_t i = 0; i < here; ++i) {
        if (run_places_ != 0 && places[i] == run_address_) {
          ++run_places_;
          continue;
        }
        flush();
        if (budget_.exhausted()) {
          return;
        }
        run_address_ = places[i];
        run_first_ = first + i;
        run_places_ = 1;
      }
    }
    flush();
  }

 private:
  /// Visits the table of the row of equal places that has just ended.
  void flush() {
    if (run_places_ == 0) {
      return;
    }
    Table table;
    table.address = run_address_;
    table.first = run_first_;
    table.places = run_places_;
    run_places_ = 0;
    if (read_table(table)) {
      visitor_.table(table);
    }
  }

  /// False: the budget ended before the table was read.
  bool read_table(Table& table) {
    // maps.table: used 0, capacity 2, growthLeft 4, localDepth 6, index 8, groups 16 {data, lengthMask}.
    std::array<std::uint8_t, 32> bytes;
    if (!budget_.spend(bytes.size()) || !budget_.remember()) {
      return false;
    }
    table.readable = table.address != 0 && table.address % 8 == 0 && memory_.read(table.address, bytes);
    if (!table.readable) {
      budget_.unreadable();
      // Address 0 stands for a small map's group: a nil place is named by where it lies.
      table.address = table.address == 0 ? header_.directory + table.first * 8 : table.address;
      return true;
    }
    std::memcpy(&table.used, bytes.data(), 2);
    std::memcpy(&table.capacity, bytes.data() + 2, 2);
    std::memcpy(&table.growth_left, bytes.data() + 4, 2);
    table.local_depth = bytes[6];
    std::memcpy(&table.index, bytes.data() + 8, 8);
    table.groups_address = load_word(bytes, 16);
    table.length_mask = load_word(bytes, 24);
    table.seen_before = !seen_.insert(table.address).second;
    return table.seen_before || table.length_mask >= kMaxGroups || read_groups(table, table.length_mask + 1);
  }

  /// False: the budget ended. True with no groups in the table: they cannot be read.
  bool read_groups(Table& table, std::uint64_t count) {
    const std::uint64_t bytes = count * geometry_.block_bytes;
    if (!budget_.spend(bytes)) {
      return false;
    }
    storage_.resize(bytes);
    if (!memory_.read(table.groups_address, storage_)) {
      budget_.unreadable();
      return true;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      table.groups.push_back({table.groups_address + i * geometry_.block_bytes,
                              std::span(storage_).subspan(i * geometry_.block_bytes, geometry_.block_bytes)});
    }
    return budget_.spend(visitor_.upcoming(storage_));
  }

  const Memory& memory_;
  const MapGeometry& geometry_;
  const SwissHeader& header_;
  MapBudget& budget_;
  MapVisitor& visitor_;
  std::vector<std::uint8_t> storage_;
  std::unordered_set<std::uint64_t> seen_;
  std::uint64_t run_address_ = 0;
  std::uint64_t run_first_ = 0;
  std::uint64_t run_places_ = 0;
};

}  // namespace

bool MapBudget::spend(std::uint64_t bytes) {
  if (exhausted()) {
    return false;
  }
  bytes_ += bytes;
  if (bytes_ > limits_.bytes || bytes > limits_.bytes) {
    why_ = fmt::format("{} MiB were read", limits_.bytes >> 20);
  } else if (clock_.monotonic_ns() > end_ns_) {
    why_ = fmt::format("{} ms have passed", limits_.time_ns / 1'000'000);
  }
  return !exhausted();
}

bool MapBudget::unreadable() {
  if (++unreadable_ > limits_.unreadable && !exhausted()) {
    why_ = fmt::format("{} places could not be read", limits_.unreadable);
  }
  return !exhausted();
}

bool MapBudget::remember() {
  if (++remembered_ > limits_.overflow_blocks && !exhausted()) {
    why_ = fmt::format("{} overflow buckets or tables were seen", limits_.overflow_blocks);
  }
  return !exhausted();
}

void walk_map(const Memory& memory, const MapType& type, const MapHeader& header, MapBudget& budget,
              MapVisitor& visitor) {
  if (const BucketHeader* buckets = header.buckets()) {
    BucketWalk(memory, type, *buckets, budget, visitor).run();
  } else {
    SwissWalk(memory, type, *header.swiss(), budget, visitor).run();
  }
}

}  // namespace mapwatch::forensics
