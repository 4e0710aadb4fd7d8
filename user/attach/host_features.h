// What this kernel lets mapwatch do, found out by doing it: version numbers say little on kernels with back-ports.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace mapwatch::attach {

/// Creates a BPF ring buffer of `bytes` and lets go of it. kPermission, or kFailed with the kernel's errno.
Result<void> try_ring(std::uint64_t bytes);

/// Opens a perf_event uprobe on mapwatch's own text and closes it: the path of kernels before 6.6. kPermission (it
/// needs CAP_SYS_ADMIN), kUnsupported when the kernel has no uprobe PMU.
Result<void> try_perf_uprobe();

}  // namespace mapwatch::attach
