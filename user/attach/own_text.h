// mapwatch's own text as a place to probe: what a kernel does is found out on mapwatch itself, never on a target.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace mapwatch::attach {

/// The instruction that self-tests probe: a nop in a function of its own.
std::uint64_t self_test_address();
/// Runs it once.
void run_self_test_site();
/// Its offset in /proc/self/exe, as the kernel wants it. kFailed when /proc/self/maps does not show it.
Result<std::uint64_t> self_test_file_offset();

}  // namespace mapwatch::attach
