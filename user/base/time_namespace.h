// Time namespaces: what a process in one takes for CLOCK_MONOTONIC (time_namespaces(7)).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/proc.h"

namespace mapwatch::proc {

/// The monotonic clock's offset in ns, of /proc/PID/timens_offsets; nullopt when it is no such text.
std::optional<std::int64_t> parse_monotonic_offset(std::string_view timens_offsets);

/// What `pid` adds to this process's CLOCK_MONOTONIC: 0 when both are in one time namespace, or the kernel has none.
std::int64_t monotonic_offset_ns(int pid, const ProcFs& procfs);

}  // namespace mapwatch::proc
