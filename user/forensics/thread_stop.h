// Holds every thread of a process still by ptrace, without a signal that the process or its parent could see, and takes
// the registers. Threads go on when the value is gone, and when this process dies.
#pragma once

#include <map>

#include "base/proc.h"
#include "base/result.h"
#include "base/seizer.h"
#include "forensics/registers.h"

namespace mapwatch::forensics {

class ThreadStop {
 public:
  /// Stops all threads of `pid`; gives up when one does not stand still within `timeout_ms` (it may be in an
  /// uninterruptible system call). The calling thread must be the one that destroys the value (ptrace(2)). Errors:
  /// kGone, kPermission (another tracer, no CAP_SYS_PTRACE), kFailed (time is up).
  static Result<ThreadStop> all(int pid, int timeout_ms, const proc::ProcFs& procfs = proc::ProcFs());

  ThreadStop(ThreadStop&& other) noexcept : held_(std::move(other.held_)), registers_(std::move(other.registers_)) {
    other.held_.clear();
  }
  ThreadStop& operator=(ThreadStop&&) = delete;
  ThreadStop(const ThreadStop&) = delete;
  ThreadStop& operator=(const ThreadStop&) = delete;
  ~ThreadStop() { release(); }

  /// By the thread ids that the target itself knows.
  const RegisterMap& registers() const { return registers_; }
  std::size_t threads() const { return held_.size(); }
  /// Lets all threads go, now.
  void release();

 private:
  ThreadStop() = default;
  Result<void> seize_new(int pid, const proc::ProcFs& procfs, Seizer& seizer, bool& found);
  Result<void> wait_all(int pid, std::uint64_t deadline_ns);
  Result<void> take_registers(int pid, const proc::ProcFs& procfs);

  struct Held {
    bool stopped = false;
    int signal = 0;  ///< that it was about to take: handed back when it goes on
  };
  std::map<int, Held> held_;  ///< by thread id as this process sees it
  RegisterMap registers_;
};

}  // namespace mapwatch::forensics
