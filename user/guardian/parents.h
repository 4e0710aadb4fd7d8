// Parents that take a freeze of their child for a stop of their own.
#pragma once

#include <string_view>
#include <vector>

#include "base/proc.h"

namespace mapwatch::guardian {

/// True when a process of that PID (as it knows itself) is in a system call that sends a stop signal to itself.
/// `syscall`: the text of /proc/PID/syscall (fs/proc/base.c, proc_pid_syscall): "NUMBER ARG0 ... ARG5 SP PC".
bool stops_itself(std::string_view syscall, int own_pid);

/// Sends SIGCONT to the ancestors of `pid` that have stopped themselves; their PIDs. su and runuser (util-linux
/// login-utils/su-common.c), script (lib/pty-session.c) and sudo (src/exec_nopty.c) see a stop of their child, stop by
/// a kill(2) of themselves so that the shell above takes notice, and stay so until somebody sends them SIGCONT: the
/// child's end would never be fetched. An ancestor that somebody else stopped is in no such call and stays as it is.
std::vector<int> wake_parents(int pid, const proc::ProcFs& procfs);

}  // namespace mapwatch::guardian
