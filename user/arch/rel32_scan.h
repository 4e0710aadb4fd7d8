// Finds displacements that lead to given addresses, by their bytes alone: whether they belong to an instruction is for
// a decoder to say.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace mapwatch::arch {

/// Four bytes that, taken as a displacement from the address behind them, lead to a target.
struct Rel32 {
  std::uint64_t address = 0;  ///< of the displacement
  std::uint32_t target = 0;   ///< index into the targets
};

/// Appends the displacements in `code`, which lies at `address`, that lead to one of `targets` (ascending) and stand
/// behind a byte that may bring one: E8 (call), E9 (jmp), 0F 80-8F (jcc), a ModRM byte of RIP-relative memory. Stops at
/// `limit` elements in `found`. About a nanosecond a byte.
void find_rel32(Bytes code, std::uint64_t address, std::span<const std::uint64_t> targets, std::size_t limit,
                std::vector<Rel32>& found);

}  // namespace mapwatch::arch
