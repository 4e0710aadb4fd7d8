// Where this kernel keeps what is told of a thread: by its BTF (Documentation/bpf/btf.rst).
#pragma once

#include <mapwatch/kernel_offsets.h>

namespace mapwatch::attach {

/// All 0 where the kernel has no BTF, or not these members: then no watch is met that was left standing, and dwells end
/// by time alone. Takes some 10 ms.
mw_kernel_offsets kernel_offsets();

}  // namespace mapwatch::attach
