// The CPU time that processes use, looked at so seldom that thousands of them cost next to nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/proc.h"

namespace mapwatch::app {

class CpuMeter {
 public:
  explicit CpuMeter(proc::ProcFs procfs) : procfs_(std::move(procfs)) {}

  /// From now on; what it used before is not counted.
  void add(int pid);
  /// Its last look (a zombie still shows its figures), then it counts no more.
  void drop(int pid);
  /// Reads some of the processes: each about once a second, or every 20 ms times their number if that is longer, so
  /// that this takes some 0.2 % of a CPU at the most. `now_ns`: CLOCK_MONOTONIC.
  void turn(std::uint64_t now_ns);
  /// Reads all of them.
  void read_all();

  /// Clock ticks used by `pid` since add(), as of its last look; nullopt: not known.
  std::optional<std::uint64_t> ticks(int pid) const;
  /// The same of all processes so far, those that are gone included.
  std::uint64_t total_ticks() const;

 private:
  struct Use {
    std::uint64_t at_start = 0;
    std::uint64_t now = 0;
  };
  void read(int pid, Use& use) const;

  proc::ProcFs procfs_;
  std::map<int, Use> uses_;
  std::uint64_t gone_ticks_ = 0;
  int next_ = 0;  ///< pid to go on with
  std::uint64_t last_ns_ = 0;
  double due_ = 0;  ///< processes to look at, by the time that has passed
};

}  // namespace mapwatch::app
