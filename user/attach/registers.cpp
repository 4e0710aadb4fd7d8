#include "attach/registers.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <optional>
#include <thread>

#include "base/seizer.h"

namespace mapwatch::attach {
namespace {

constexpr std::size_t kMaxThreads = 16384;

struct Seized {
  int tid = 0;
  bool asked = false;  ///< PTRACE_INTERRUPT was sent
};

/// True when the thread has stopped, is read (or cannot be) and is let go.
bool collect(const Seized& seized, Registers& out) {
  int status = 0;
  const pid_t got = ::waitpid(seized.tid, &status, __WALL | WNOHANG);
  if (got == 0) {
    return false;
  }
  if (got < 0 || !WIFSTOPPED(status)) {
    out.missed.push_back(seized.tid);
    return true;
  }
  ThreadRegisters thread;
  thread.tid = seized.tid;
  iovec area = {&thread.regs, sizeof(thread.regs)};
  if (::ptrace(PTRACE_GETREGSET, seized.tid, NT_PRSTATUS, &area) == 0) {
    out.threads.push_back(thread);
  } else {
    out.missed.push_back(seized.tid);
  }
  // A signal that it was about to take is given back to it; the stop itself is none.
  const long deliver = status >> 16 == 0 ? WSTOPSIG(status) : 0;
  ::ptrace(PTRACE_DETACH, seized.tid, nullptr, deliver);
  return true;
}

void read_all(const std::vector<int>& tids, std::chrono::steady_clock::time_point end, Registers& out, int& error) {
  std::vector<Seized> waiting;
  Seizer seizer;
  for (const int tid : tids) {
    const int failed = seizer.seize(tid);
    if (failed == 0) {
      waiting.push_back({tid});
    } else {
      error = failed;
      out.missed.push_back(tid);
    }
  }
  while (!waiting.empty()) {
    std::erase_if(waiting, [&out](const Seized& seized) { return collect(seized, out); });
    for (Seized& seized : waiting) {
      if (!seized.asked) {
        seized.asked = ::ptrace(PTRACE_INTERRUPT, seized.tid, nullptr, nullptr) == 0;
      }
    }
    if (waiting.empty() || std::chrono::steady_clock::now() >= end) {
      break;
    }
    // ptrace has no descriptor to wait on, and a blocking waitpid has no bound.
    const timespec nap = {0, 20'000};
    ::nanosleep(&nap, nullptr);
  }
  for (const Seized& seized : waiting) {
    out.missed.push_back(seized.tid);
  }
}

}  // namespace

Result<Registers> read_registers(int pid, std::chrono::microseconds bound, const proc::ProcFs& procfs) {
  const std::vector<int> tids = TRY(procfs.threads(pid, kMaxThreads));
  Registers out;
  int error = 0;
  std::thread(read_all, std::cref(tids), std::chrono::steady_clock::now() + bound, std::ref(out), std::ref(error))
      .join();
  if (out.threads.empty() && error != 0) {
    return fail_errno("cannot read the registers of process " + std::to_string(pid) + " (ptrace)", error,
                      error == EPERM ? "is a debugger attached?" : "");
  }
  std::sort(out.threads.begin(), out.threads.end(),
            [](const ThreadRegisters& a, const ThreadRegisters& b) { return a.tid < b.tid; });
  return out;
}

}  // namespace mapwatch::attach
