// The registers of every thread of a process that stands still.
#pragma once

#include <sys/user.h>

#include <chrono>
#include <vector>

#include "base/proc.h"
#include "base/result.h"

namespace mapwatch::attach {

struct ThreadRegisters {
  int tid = 0;
  user_regs_struct regs = {};
};

struct Registers {
  std::vector<ThreadRegisters> threads;  ///< by tid
  std::vector<int> missed;               ///< threads that ended, are traced by somebody else, or did not stop in time
};

/// Seizes each thread with ptrace, reads, and lets go of it again; a group stop that was in effect is in effect
/// afterwards, and the parent is told nothing of it. The ptrace side lives in a thread of its own that ends before this
/// returns, so that no thread of the target can stay traced: not even one that stops too late to be let go by name.
/// Meant for a process in a group stop; running threads are stopped for the moment. Errors: kGone, kPermission.
Result<Registers> read_registers(int pid, std::chrono::microseconds bound, const proc::ProcFs& procfs = proc::ProcFs());

}  // namespace mapwatch::attach
