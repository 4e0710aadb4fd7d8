// What uprobe_multi does on this kernel, found out on a function of mapwatch's own rather than from version numbers.
#pragma once

#include <string>

#include "base/result.h"

namespace mapwatch::attach {

struct SelfTest {
  /// The kernel has uprobe_multi links (6.6+) and lets us make them.
  bool uprobe_multi = false;
  /// A link with a pid filter delivers hits of all the process's threads. Kernels before 6.10 compare the task and
  /// deliver one thread's only (46ba0e49b642 "bpf: fix multi-uprobe PID filtering logic").
  bool pid_filter = false;
  /// An empty program on an emulated instruction, measured here by the link that will be used (uprobe_multi, else
  /// perf_event): what a hit costs the target at the least. 0: unknown, neither could be attached.
  double ns_per_hit = 0;
  /// Why uprobe_multi is not to be had; empty when it is.
  std::string reason;
};

/// Attaches to itself, calls the probed function from two threads, detaches. `perf`: what a hit costs is measured by a
/// perf_event link though the kernel may have uprobe_multi. Errors: kPermission when no BPF program can be loaded at
/// all; kUnsupported when the kernel has no BPF.
Result<SelfTest> self_test(bool perf = false);

}  // namespace mapwatch::attach
