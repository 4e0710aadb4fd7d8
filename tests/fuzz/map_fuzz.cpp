// A map of a target that lies: every pointer of type descriptors, headers, buckets, tables and keys is the fuzzer's.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/clock.h"
#include "forensics/map_reader.h"
#include "forensics/map_world.h"

namespace {

using namespace mapwatch;
using namespace mapwatch::forensics;

/// The input again and again over the low addresses, so that most pointers hit something; nothing above.
class WrappedMemory final : public Memory {
 public:
  explicit WrappedMemory(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override {
    if (address >= kReadable || out.size() > kReadable - address) {
      return false;
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = bytes_[(address + i) % bytes_.size()];
    }
    return true;
  }
  std::span<const Mapping> mappings() const override { return {}; }

 private:
  static constexpr std::uint64_t kReadable = std::uint64_t{1} << 32;
  std::span<const std::uint8_t> bytes_;
};

/// Reads the map at request.type and request.map, in small bounds. What comes out must be within what was allowed,
/// whatever the map claims.
void read_within(const Memory& memory, const TypeSpace& space, const HashSource& hashes, MapRequest request,
                 const std::uint8_t* options) {
  request.limits.bytes = 1 << 18;
  request.limits.overflow_blocks = 256;
  request.limits.chain_blocks = 16;
  request.limits.entries = 16;
  request.limits.unreadable = 16;
  request.limits.duplicate_window = options[0];
  request.style.redact = (options[1] & 1) != 0;
  TypeReader types(memory, space);
  const SystemClock clock;
  const auto picture = read_map(types, hashes, request, clock);
  if (picture && (picture->entries.size() > 16 || picture->bytes_read > (1 << 18) + (8 << 20))) {
    __builtin_trap();
  }
}

/// Sound maps with some bytes of the target changed: three bytes of input name a place, one the value.
template <typename Map>
void read_damaged(test::World& world, Map& map, std::span<const std::uint8_t> changes, const std::uint8_t* options) {
  for (std::uint64_t i = 0; i < 40; ++i) {
    map.insert(i * 3, i);
  }
  for (; changes.size() >= 4; changes = changes.subspan(4)) {
    const std::uint64_t place = changes[0] | changes[1] << 8 | changes[2] << 16;
    // Half of the changes go to the header, where most decisions are.
    world.memory.poke((changes[0] & 1) != 0 ? map.header + changes[1] % 56 : place % world.memory.end(), changes[3]);
  }
  MapRequest request;
  request.type = map.type;
  request.map = map.header;
  read_within(world.memory, world.space, world.hashes(), request, options);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 16) {
    return 0;
  }
  const bool swiss = (data[0] & 1) != 0;
  const int minor = swiss ? 24 + (data[0] >> 2) % 4 : 17 + (data[0] >> 2) % 9;
  if ((data[0] & 2) != 0) {
    test::World world(minor, swiss ? elf::MapKind::kSwiss : elf::MapKind::kBuckets);
    const std::span<const std::uint8_t> changes(data + 3, size - 3);
    if (swiss) {
      test::SwissMap map(world, 1 + data[1] % 3, 4u << data[2] % 4);
      read_damaged(world, map, changes, data + 1);
    } else {
      test::BucketMap map(world, 2 + data[1] % 3, 64);
      if ((data[2] & 1) != 0) {
        map.grow();  // an empty map that grows; its entries come after
      }
      read_damaged(world, map, changes, data + 1);
    }
    return 0;
  }
  const WrappedMemory memory({data + 8, size - 8});
  TypeSpace space;
  space.minor = minor;
  space.maps = swiss ? elf::MapKind::kSwiss : elf::MapKind::kBuckets;
  space.end = 1 << 20;
  HashSource hashes;
  hashes.keys.emplace();
  constexpr const char* kHashers[] = {"runtime.memhash64",   "runtime.memhash32",    "runtime.strhash",
                                      "runtime.f64hash",     "runtime.nilinterhash", "runtime.interhash",
                                      "reflect.MapOf.func1", "type:.hash.T",         ""};
  hashes.function_name = [&](std::uint64_t) { return std::string(kHashers[data[1] % std::size(kHashers)]); };
  MapRequest request;
  request.type = std::uint64_t{data[2]} * 8;
  request.map = std::uint64_t{data[3]} * 8;
  read_within(memory, space, hashes, request, data + 4);
  return 0;
}
