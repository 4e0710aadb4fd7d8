// How many CPUs a process can use at once: with one, a dwell tells nothing (nobody else can arrive meanwhile).
#pragma once

#include <optional>
#include <string>

#include "base/proc.h"
#include "base/result.h"

namespace mapwatch::attach {

struct CpuLimits {
  unsigned online = 0;                 ///< CPUs that are on, of this machine
  unsigned affinity = 0;               ///< CPUs that at least one thread may run on, of those online (taskset, cpuset)
  std::optional<unsigned> cpuset;      ///< cpuset.cpus.effective of its cgroup
  std::optional<unsigned> quota;       ///< CPU quota of its cgroup and those above it, rounded up
  std::optional<unsigned> gomaxprocs;  ///< from the environment it was started with, when readable and > 0
  bool realtime = false;               ///< a thread is SCHED_FIFO, SCHED_RR or SCHED_DEADLINE: never hold it

  /// The least of them, at least 1.
  unsigned effective() const;
  /// Whether operations of this process may be held: effective() >= 2 and no real-time thread.
  bool may_dwell() const { return effective() >= 2 && !realtime; }
};

/// Where the kernel's files are.
struct CpuSources {
  proc::ProcFs procfs = proc::ProcFs();
  std::string sysfs = "/sys";
};

/// Reads the limits of `pid` as they are now. What cannot be read bounds nothing, except /proc/PID itself: kGone,
/// kPermission.
Result<CpuLimits> read_cpu_limits(int pid, const CpuSources& sources = {});

}  // namespace mapwatch::attach
