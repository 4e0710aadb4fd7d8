#include "forensics/thread_stop.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include <cerrno>

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

// A stop within microseconds is usual. There is no event to wait for with a deadline that would not take SIGCHLD from
// the whole program.
constexpr long kLookAgainNs = 20'000;
constexpr std::uint64_t kReapNs = 2'000'000'000;
// Threads may start while others are being stopped.
constexpr int kMaxRounds = 64;

std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

Result<ThreadStop> ThreadStop::all(int pid, int timeout_ms, const proc::ProcFs& procfs) {
  ThreadStop stop;
  const std::uint64_t deadline = now_ns() + static_cast<std::uint64_t>(timeout_ms) * 1'000'000U;
  Seizer seizer;
  bool found = true;
  for (int round = 0; found; ++round) {
    if (round == kMaxRounds) {
      return fail(ErrorKind::kFailed, fmt::format("process {} starts threads faster than they can be stopped", pid));
    }
    TRY(stop.seize_new(pid, procfs, seizer, found));
    TRY(stop.wait_all(pid, deadline));
  }
  if (stop.held_.empty()) {
    return fail(ErrorKind::kGone, fmt::format("process {} is gone", pid));
  }
  TRY(stop.take_registers(pid, procfs));
  return stop;
}

Result<void> ThreadStop::seize_new(int pid, const proc::ProcFs& procfs, Seizer& seizer, bool& found) {
  found = false;
  for (const int tid : TRY(procfs.threads(pid))) {
    if (held_.contains(tid)) {
      continue;
    }
    if (const int error = seizer.seize(tid); error == ESRCH) {  // ended meanwhile
      continue;
    } else if (error != 0) {
      return fail_errno(fmt::format("cannot stop thread {} of process {}", tid, pid), error,
                        "run as root or with CAP_SYS_PTRACE; a debugger may be attached");
    }
    held_[tid] = {};
    found = true;
    if (ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0 && errno != ESRCH) {
      return fail_errno(fmt::format("cannot stop thread {} of process {}", tid, pid));
    }
  }
  return {};
}

Result<void> ThreadStop::wait_all(int pid, std::uint64_t deadline_ns) {
  for (;;) {
    int missing = 0;
    // All of them in turn, those that stand already too: the first thread of a process that is killed, or that another
    // thread's exec ends, has not ended for its tracer before the others were waited for (wait(2), ptrace(2)).
    for (auto at = held_.begin(); at != held_.end();) {
      auto& [tid, held] = *at;
      int status = 0;
      const pid_t got = waitpid(tid, &status, __WALL | WNOHANG);
      if (got == 0 || (got < 0 && errno == EINTR)) {
        missing = held.stopped ? missing : tid;
      } else if (got < 0 || !WIFSTOPPED(status)) {
        at = held_.erase(at);  // it ended
        continue;
      } else {
        held.stopped = true;
        held.signal = status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
      }
      ++at;
    }
    if (missing == 0) {
      return {};
    }
    if (now_ns() > deadline_ns) {
      return fail(ErrorKind::kFailed, fmt::format("thread {} of process {} did not stop in time", missing, pid),
                  "it may be in an uninterruptible system call (state D); try again");
    }
    const timespec pause{0, kLookAgainNs};
    nanosleep(&pause, nullptr);
  }
}

Result<void> ThreadStop::take_registers(int pid, const proc::ProcFs& procfs) {
  for (const auto& [tid, held] : held_) {
    user_regs_struct registers{};
    iovec buffer{&registers, sizeof(registers)};
    if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &buffer) != 0) {
      continue;  // it was killed while it stood
    }
    const auto status = procfs.thread_status(pid, tid);
    const int own = status && !status->ns_pids.empty() ? status->ns_pids.back() : tid;
    registers_[static_cast<std::uint64_t>(own)] = ThreadRegisters::of(registers);
  }
  return {};
}

void ThreadStop::release() {
  const auto let_go = [](int tid, int signal) {
    return ptrace(PTRACE_DETACH, tid, nullptr, reinterpret_cast<void*>(static_cast<long>(signal))) == 0;
  };
  std::erase_if(held_, [&](const auto& one) { return one.second.stopped && let_go(one.first, one.second.signal); });
  // What is left was killed while it stood, or has not stopped yet. A dead thread stays until its tracer has waited
  // for it, and keeps the parent from seeing the end of the process; the first thread is last to be waited for.
  const std::uint64_t deadline = now_ns() + kReapNs;
  while (!held_.empty() && now_ns() < deadline) {
    std::erase_if(held_, [&](const auto& one) {
      int status = 0;
      const pid_t got = waitpid(one.first, &status, __WALL | WNOHANG);
      if (got == 0 || (got < 0 && errno == EINTR)) {
        return false;
      }
      const bool stopped = got > 0 && WIFSTOPPED(status);
      return !stopped || let_go(one.first, status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status));
    });
    if (!held_.empty()) {
      const timespec pause{0, kLookAgainNs};
      nanosleep(&pause, nullptr);
    }
  }
  held_.clear();
}

}  // namespace mapwatch::forensics
