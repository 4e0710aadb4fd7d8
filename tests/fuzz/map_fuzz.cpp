// A map of a target that lies: every pointer of type descriptors, headers, buckets, tables and keys is the fuzzer's.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/clock.h"
#include "forensics/map_reader.h"

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 64) {
    return 0;
  }
  const WrappedMemory memory({data + 8, size - 8});
  const bool swiss = (data[0] & 1) != 0;
  TypeSpace space;
  space.minor = swiss ? 24 + (data[0] >> 1) % 4 : 17 + (data[0] >> 1) % 9;
  space.maps = swiss ? elf::MapKind::kSwiss : elf::MapKind::kBuckets;
  space.end = 1 << 20;
  HashSource hashes;
  hashes.keys.emplace();
  constexpr const char* kHashers[] = {
      "runtime.memhash64",    "runtime.memhash32", "runtime.strhash",        "runtime.f64hash",
      "runtime.nilinterhash", "runtime.interhash", "runtime.memhash_varlen", ""};
  hashes.function_name = [&](std::uint64_t) { return std::string(kHashers[data[1] % std::size(kHashers)]); };
  MapRequest request;
  request.type = std::uint64_t{data[2]} * 8;
  request.map = std::uint64_t{data[3]} * 8;
  request.limits.bytes = 1 << 18;
  request.limits.overflow_blocks = 256;
  request.limits.chain_blocks = 16;
  request.limits.entries = 16;
  request.limits.unreadable = 16;
  request.limits.duplicate_window = data[4];
  request.style.redact = (data[5] & 1) != 0;
  TypeReader types(memory, space);
  const SystemClock clock;
  const auto picture = read_map(types, hashes, request, clock);
  // What was read must be within what was allowed, whatever the map claims.
  if (picture && (picture->entries.size() > 16 || picture->bytes_read > (1 << 18) + (2 << 20))) {
    __builtin_trap();
  }
  return 0;
}
