// Job control as /proc shows it.
#pragma once

#include <optional>
#include <string_view>

#include "base/proc.h"

namespace mapwatch::proc {

/// Terminal and job of a process (/proc/PID/stat, fields 4 to 8).
struct Job {
  int ppid = 0;
  int group = 0;
  int session = 0;
  int terminal = 0;          ///< 0: none
  int foreground_group = 0;  ///< of that terminal; -1: none
};
std::optional<Job> parse_job(std::string_view stat);

/// True for a job that a job-control shell has put into the foreground: the shell, its parent, waits for it to stop as
/// well as to end, and takes the terminal back at either. Shells without job control leave a job in their own group.
bool is_foreground_job(int pid, const ProcFs& procfs);

}  // namespace mapwatch::proc
