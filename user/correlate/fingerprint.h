// Which overlaps are the same bug: a hash over both stacks, the map type and the binary, the same in every process and
// whichever side came first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "correlate/correlator.h"

namespace mapwatch::correlate {

/// Fingerprint of an overlap of two sides. `type` is what that side's own registers said of the map's type.
struct Side {
  const Access* access = nullptr;
  std::uint64_t type = 0;
};
std::uint64_t fingerprint(const ProcessContext& process, const Side& one, const Side& two);

/// Fingerprint of a crash: its stack, its string and the binary.
std::uint64_t crash_fingerprint(const ProcessContext& process, const std::vector<std::uint64_t>& stack,
                                std::string_view reason);

/// "mw-" and the upper 32 bits as 8 hex digits.
std::string id_of(std::uint64_t fingerprint);

}  // namespace mapwatch::correlate
