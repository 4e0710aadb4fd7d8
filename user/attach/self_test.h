// What uprobe_multi does on this kernel and what a hit costs, found out on functions of mapwatch's own rather than from
// version numbers.
#pragma once

#include <memory>
#include <string>

#include "attach/own_text.h"
#include "base/result.h"

namespace mapwatch::attach {

struct SelfTest {
  /// The kernel has uprobe_multi links (6.6+) and lets us make them.
  bool uprobe_multi = false;
  /// A link with a pid filter delivers hits of all the process's threads. Kernels before 6.10 compare the task and
  /// deliver one thread's only (46ba0e49b642 "bpf: fix multi-uprobe PID filtering logic").
  bool pid_filter = false;
  /// An empty program, measured here by the link that will be used (uprobe_multi, else perf_event): what a hit costs
  /// the target at the least, ns of CPU time, by the class of the instruction (MW_SITE_NONE: a nop). 0: unknown, it
  /// could not be attached or did not fire.
  BySiteClass<double> ns_per_hit = {};
  /// The probes of mapwatch's own text by perf_event: closing one takes the kernel 130 ms, which no start waits for.
  std::shared_ptr<const void> perf_links = nullptr;
  /// Why uprobe_multi is not to be had; empty when it is.
  std::string reason;
};

/// Attaches to itself, calls the probed functions, detaches. `perf`: what a hit costs is measured by perf_event links
/// though the kernel may have uprobe_multi. Errors: kPermission when no BPF program can be loaded at all; kUnsupported
/// when the kernel has no BPF.
Result<SelfTest> self_test(bool perf = false);

}  // namespace mapwatch::attach
