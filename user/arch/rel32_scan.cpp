#include "arch/rel32_scan.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace mapwatch::arch {
namespace {

/// Whether the bytes before the displacement at `at` may be those of an instruction that ends with one.
bool brings_displacement(const std::uint8_t* at, std::size_t before) {
  const std::uint8_t last = at[-1];
  if (last == 0xe8 || last == 0xe9 || (last & 0xc7) == 0x05) {
    return true;
  }
  return before >= 2 && at[-2] == 0x0f && (last & 0xf0) == 0x80;
}

}  // namespace

void find_rel32(Bytes code, std::uint64_t address, std::span<const std::uint64_t> targets, std::size_t limit,
                std::vector<Rel32>& found) {
  if (targets.empty()) {
    return;
  }
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(code.data());
  // Map functions lie together in the runtime's part of the text: most displacements fall at the first comparison, made
  // in 32 bits. What passes it is looked at in full.
  const std::uint64_t wide_span = targets.back() - targets.front();
  const auto span =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(wide_span, std::numeric_limits<std::uint32_t>::max()));
  const auto base = static_cast<std::uint32_t>(address + sizeof(std::int32_t) - targets.front());
  for (std::size_t at = 1; at + sizeof(std::int32_t) <= code.size(); ++at) {
    std::int32_t displacement;
    std::memcpy(&displacement, bytes + at, sizeof(displacement));
    if (base + static_cast<std::uint32_t>(at) + static_cast<std::uint32_t>(displacement) > span ||
        !brings_displacement(bytes + at, at)) {
      continue;
    }
    const std::uint64_t target =
        address + at + sizeof(displacement) + static_cast<std::uint64_t>(std::int64_t{displacement});
    const auto place = std::ranges::lower_bound(targets, target);
    if (place == targets.end() || *place != target) {
      continue;
    }
    if (found.size() >= limit) {
      return;
    }
    found.push_back({address + at, static_cast<std::uint32_t>(place - targets.begin())});
  }
}

}  // namespace mapwatch::arch
