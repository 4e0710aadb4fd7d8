// The hash that Go's maps use on amd64 with AES instructions, computed from the process's own random keys. Source:
// runtime/asm_amd64.s (aeshashbody, memhash32, memhash64; Go 1.17-1.26), internal/runtime/maps/memhash_amd64.s (1.27).
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace mapwatch::forensics {

/// runtime.aeskeysched (1.27: internal/runtime/maps.aeskeysched): random at each start of the process.
using HashKeys = std::array<std::uint8_t, 128>;

/// runtime.memhash of any length.
std::uint64_t go_memhash(const HashKeys& keys, std::uint64_t seed, std::span<const std::uint8_t> data);
/// runtime.memhash32: not the same as memhash of four bytes.
std::uint64_t go_memhash32(const HashKeys& keys, std::uint64_t seed, std::uint32_t value);
/// runtime.memhash64: not the same as memhash of eight bytes.
std::uint64_t go_memhash64(const HashKeys& keys, std::uint64_t seed, std::uint64_t value);

}  // namespace mapwatch::forensics
