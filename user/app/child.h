// CMD of `run`: started traced, so that it and, with follow, its descendants stop at each exec until they are let go.
// ptrace rather than SIGSTOP: when mapwatch dies, the kernel lets tracees run on (ptrace(2), no PTRACE_O_EXITKILL).
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace mapwatch::app {

class Child {
 public:
  /// The process that exec of `command` (found on PATH as by execvp(3)) made, not yet run. Errors: kFailed (126: not
  /// executable, 127: not found, in `status`); other failures leave status 125.
  static Result<Child> start(const std::vector<std::string>& command, bool follow, int& status);

  pid_t pid() const { return pid_; }

  /// Processes that wait at an exec. Each needs release().
  struct Turn {
    std::vector<pid_t> held;
  };
  /// Takes all that waitpid has to tell; call after SIGCHLD.
  Result<Turn> reap();
  /// Lets a held process run; `last` ends the tracing of it (it will not be held at another exec).
  void release(pid_t pid, bool last);
  /// wait(2) status of CMD once it has ended.
  bool ended() const { return ended_; }
  int wait_status() const { return wait_status_; }

 private:
  Child(pid_t pid, bool follow) : pid_(pid), follow_(follow) {}
  void on_stop(pid_t pid, int status, Turn& turn);

  pid_t pid_ = 0;
  bool follow_ = false;
  bool ended_ = false;
  int wait_status_ = 0;
};

}  // namespace mapwatch::app
