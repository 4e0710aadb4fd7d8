#include "guardian/let_go.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/unique_fd.h"

namespace mapwatch::guardian {
namespace {

constexpr int kLooks = 50;                     // of 100 us: nothing tells of another's child that it has stopped
constexpr std::uint64_t kMaxInstruction = 15;  // bytes, Intel SDM vol. 2, 2.3.11

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }
constexpr std::uint64_t kStopSignals = bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);

bool is_site(std::uint64_t pc, const std::vector<std::uint64_t>& sites) {
  // The probed instruction has been executed, or emulated, when the signal is taken.
  return std::any_of(sites.begin(), sites.end(),
                     [pc](std::uint64_t site) { return pc >= site && pc - site <= kMaxInstruction; });
}

/// A thread takes its own signals (Go's preemption: SIGURG by tgkill) before those of the process: with one pending at
/// the freeze it stops at the first instruction of that handler, and where it was is in the frame at its stack pointer.
/// struct rt_sigframe, arch/x86/include/asm/sigframe.h: return address, then struct ucontext.
bool stands_at(proc::Place place, const std::vector<std::uint64_t>& sites, int memory) {
  constexpr std::uint64_t kRegisters = 8 + 40;  // of uc_mcontext (struct sigcontext: r8 is first)
  constexpr int kHandlers = 4;                  // signals that may be pending at once, and still be our freeze
  for (int depth = 0; depth <= kHandlers; ++depth) {
    if (is_site(place.pc, sites)) {
      return true;
    }
    std::uint64_t saved[2];  // rsp and rip, sigcontext words 15 and 16
    if (::pread(memory, saved, sizeof(saved), static_cast<off_t>(place.sp + kRegisters + 15 * 8)) !=
        static_cast<ssize_t>(sizeof(saved))) {
      return false;
    }
    place = {saved[1], saved[0]};
  }
  return false;
}

bool is_running(const proc::Status& status) {
  return status.state == 'R' || status.state == 'S' || status.state == 'D' || status.state == 't';
}

LetGo send_continue(int pidfd) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, nullptr, 0) == 0) {
    return LetGo::kContinued;
  }
  return errno == ESRCH ? LetGo::kGone : LetGo::kRefused;
}

}  // namespace

Standing standing(int pid, const std::vector<std::uint64_t>& sites, const proc::ProcFs& procfs) {
  const auto threads = procfs.threads(pid);
  if (!threads || threads->empty()) {
    return Standing::kUnknown;
  }
  const UniqueFd memory(::open(procfs.path(pid, "mem").c_str(), O_RDONLY | O_CLOEXEC));
  Standing result = Standing::kElsewhere;
  for (const int tid : *threads) {
    const auto place = procfs.thread_place(pid, tid);
    if (!place || !*place) {
      result = Standing::kUnknown;
      continue;
    }
    if (stands_at(**place, sites, memory.get())) {
      return Standing::kAtSite;
    }
  }
  return result;
}

std::string_view what_happened(LetGo outcome) {
  switch (outcome) {
    case LetGo::kContinued:
      return "runs on";
    case LetGo::kOtherStop:
      return "stays stopped: somebody else sent it a stop signal, too";
    case LetGo::kNotOurs:
      return "stays stopped: it does not stand where mapwatch stops a process";
    case LetGo::kNotStopped:
      return "was not stopped";
    case LetGo::kGone:
      return "has ended";
    case LetGo::kRefused:
      return "could not be let go: no permission to signal it";
  }
  return "?";
}

LetGo let_go(int pidfd, int pid, const std::vector<std::uint64_t>& sites, Knowledge knowledge,
             const proc::ProcFs& procfs) {
  // A stop that is on its way: a stop signal of somebody else is told from ours only once ours has been taken.
  auto status = procfs.status(pid);
  for (int look = 0; knowledge == Knowledge::kFrozen && look < kLooks && status && is_running(*status); ++look) {
    const timespec nap = {0, 100'000};
    ::nanosleep(&nap, nullptr);
    status = procfs.status(pid);
  }
  if (!status || status->state == 'Z' || status->state == 'X') {
    return LetGo::kGone;
  }
  const bool stopped = status->state == 'T';
  if (stopped && (status->pending_signals & kStopSignals & ~status->caught_signals) != 0) {
    return LetGo::kOtherStop;
  }
  if (knowledge == Knowledge::kMaybeFrozen) {
    if (!stopped) {
      return LetGo::kNotStopped;
    }
    if (standing(pid, sites, procfs) != Standing::kAtSite) {
      return LetGo::kNotOurs;
    }
  }
  // Not stopped although frozen: the stop is on its way. SIGCONT takes it back.
  return send_continue(pidfd);
}

}  // namespace mapwatch::guardian
