#include "forensics/map_header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

constexpr std::size_t kHeaderBytes = 48;  // the part that all versions share, and all of maps.Map

template <typename T>
T take(const std::array<std::uint8_t, kHeaderBytes>& bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

GrowthDue bucket_growth(const MapHeader& header, const BucketHeader& h, const MapType& type, int minor) {
  GrowthDue due;
  const std::uint64_t buckets = h.bucket_count();
  due.growing = h.old_buckets != 0;
  // loadFactorNum / loadFactorDen: 13/2; 12/2 in Go 1.21 alone, which divided before it multiplied.
  const std::uint64_t numerator = minor == 21 ? 12 : 13;
  due.limit = static_cast<double>(numerator) / 2;
  due.load = buckets == 0 ? 0 : static_cast<double>(header.count) / static_cast<double>(buckets);
  const bool overloaded = header.count + 1 > type.geometry.slots && header.count + 1 > numerator * (buckets / 2);
  const std::uint64_t overflow_limit = std::uint64_t{1} << std::min<unsigned>(h.b, 15);
  const bool overflowing = h.overflow_count >= overflow_limit;
  if (due.growing) {
    due.why = fmt::format("growing now: {} of {} old buckets are evacuated, two more with each write", h.evacuated,
                          h.old_bucket_count());
  } else if (overloaded) {
    due.due = true;
    due.why = fmt::format("the next new key exceeds {} entries a bucket: the map doubles", due.limit);
  } else if (overflowing) {
    due.due = true;
    due.why = fmt::format("{} overflow buckets, {} are allowed: the next new key rebuilds the map at its size",
                          h.overflow_count, overflow_limit);
  } else {
    due.why = fmt::format("no growth: {:.2f} of {} entries a bucket, {} of {} overflow buckets", due.load, due.limit,
                          h.overflow_count, overflow_limit);
  }
  return due;
}

GrowthDue swiss_growth(const MapHeader& header, const SwissHeader& h, const MapType& type) {
  GrowthDue due;
  due.limit = 7;  // entries a group: 7/8 of its slots
  if (h.directory_length == 0) {
    due.limit = type.geometry.slots;
    due.load = static_cast<double>(header.count);
    due.due = header.count >= type.geometry.slots;
    due.why =
        due.due ? "the one group is full: the next new key moves the map to a table"
                : fmt::format("no growth: {} of {} slots of the one group are used", header.count, type.geometry.slots);
  }
  return due;
}

}  // namespace

bool operator==(const BucketHeader& a, const BucketHeader& b) {
  const auto all = [](const BucketHeader& h) {
    return std::tie(h.flags, h.b, h.overflow_count, h.seed, h.buckets, h.old_buckets, h.evacuated, h.extra);
  };
  return all(a) == all(b);
}

bool operator==(const SwissHeader& a, const SwissHeader& b) {
  const auto all = [](const SwissHeader& h) {
    return std::tie(h.seed, h.directory, h.directory_length, h.global_depth, h.global_shift, h.writing,
                    h.tombstone_possible, h.clear_sequence);
  };
  return all(a) == all(b);
}

Result<MapHeader> read_map_header(const Memory& memory, const TypeSpace& space, std::uint64_t address) {
  std::array<std::uint8_t, kHeaderBytes> bytes;
  if (address == 0 || !memory.read(address, bytes)) {
    return fail(ErrorKind::kMalformed, fmt::format("no map at {:#x}: its header is not readable", address));
  }
  MapHeader header;
  header.address = address;
  header.count = take<std::uint64_t>(bytes, 0);
  const auto word = [&](bool set, const char* text) {
    if (set) {
      header.flag_words.emplace_back(text);
    }
  };
  if (space.maps == elf::MapKind::kBuckets) {
    BucketHeader h;
    h.flags = bytes[8];
    h.b = bytes[9];
    h.overflow_count = take<std::uint16_t>(bytes, 10);
    h.seed = take<std::uint32_t>(bytes, 12);
    h.buckets = take<std::uint64_t>(bytes, 16);
    h.old_buckets = take<std::uint64_t>(bytes, 24);
    h.evacuated = take<std::uint64_t>(bytes, 32);
    // Go 1.24 put clearSeq before it (GOEXPERIMENT=noswissmap).
    h.extra = space.minor >= 24 ? memory.word(address + 48).value_or(0) : take<std::uint64_t>(bytes, 40);
    header.writing = (h.flags & 4) != 0;
    word((h.flags & 1) != 0, "iterator");
    word((h.flags & 2) != 0, "old iterator");
    word(header.writing, "writing");
    word(h.same_size_growth(), "same-size growth");
    if ((h.flags & 0xf0) != 0) {
      header.flag_words.push_back(fmt::format("unknown {:#04x}", h.flags & 0xf0));
    }
    header.layout = h;
    return header;
  }
  SwissHeader h;
  h.seed = take<std::uint64_t>(bytes, 8);
  h.directory = take<std::uint64_t>(bytes, 16);
  h.directory_length = take<std::uint64_t>(bytes, 24);
  h.global_depth = bytes[32];
  h.global_shift = bytes[33];
  h.writing = bytes[34];
  h.has_tombstone_flag = space.minor >= 25;
  h.tombstone_possible = h.has_tombstone_flag && bytes[35] != 0;
  h.clear_sequence = take<std::uint64_t>(bytes, 40);
  header.writing = h.writing != 0;
  word(header.writing, "writing");
  word(h.tombstone_possible, "tombstones possible");
  header.layout = h;
  return header;
}

GrowthDue growth_due(const MapHeader& header, const MapType& type, int minor) {
  if (const BucketHeader* h = header.buckets()) {
    return bucket_growth(header, *h, type, minor);
  }
  return swiss_growth(header, *header.swiss(), type);
}

}  // namespace mapwatch::forensics
