#include "app/run.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "app/alerting.h"
#include "app/child.h"
#include "app/event_loop.h"
#include "app/state_dir.h"
#include "app/watcher.h"
#include "base/log.h"
#include "elf/go_binary.h"

namespace mapwatch::app {

namespace {

constexpr int kToolFailed = 125;
constexpr int kHazardsFound = 66;

/// Watches what was held at an exec, if it is a Go program; true when it is watched now.
bool take(Watcher& watcher, Child& child, pid_t pid, std::string& why_not) {
  if (watcher.watches(pid)) {
    watcher.drop(pid);
  }
  const auto added = watcher.add(pid);
  if (!added) {
    why_not = added.error().message;
    log::debug("PID {}: {}", pid, why_not);
  }
  child.release(pid, added.has_value());
  return added.has_value();
}

/// A signal that somebody sent to mapwatch is CMD's; one from the terminal has reached CMD already.
void pass_on(const signalfd_siginfo& info, pid_t pid) {
  constexpr int kFromKernel = 0x80;  // SI_KERNEL: the terminal's
  if (info.ssi_code != kFromKernel) {
    ::kill(pid, static_cast<int>(info.ssi_signo));
  }
}

int status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

Result<int> run(const cli::Options& options, int& failure) {
  const SystemClock clock;
  EventLoop loop = TRY(EventLoop::create({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD}));
  TRY(check_state_dir(options));
  const auto alerting = TRY(Alerting::start(options, clock));
  auto watcher = TRY(Watcher::create(options, STDERR_FILENO, clock));
  alerting->follow(*watcher);
  for (const int fd : watcher->fds()) {
    TRY(loop.watch(fd));
  }
  Child child = TRY(Child::start(options.child, options.follow, failure));
  failure = kToolFailed;
  std::string why_not;
  bool ever = false;
  if (!child.ended()) {
    ever = take(*watcher, child, child.pid(), why_not);
  }
  while (!child.ended()) {
    const EventLoop::Woken woken = TRY(loop.wait(100));
    for (const signalfd_siginfo& info : woken.signals) {
      if (info.ssi_signo != SIGCHLD) {
        pass_on(info, child.pid());
      }
    }
    const Child::Turn turn = TRY(child.reap());
    const Watcher::Turn turned = TRY(watcher->turn());
    for (const pid_t pid : turn.held) {
      ever = take(*watcher, child, pid, why_not) || ever;
    }
    for (const int pid : turned.execs) {
      // Not traced any more: its next program starts unheld.
      if (watcher->watches(pid) && std::find(turn.held.begin(), turn.held.end(), pid) == turn.held.end()) {
        watcher->drop(pid);
        if (auto again = watcher->add(pid); !again) {
          log::info("PID {} runs another program now, which is not watched: {}", pid, again.error().message);
        }
      }
    }
  }
  TRY(watcher->turn());
  watcher->finish();
  alerting->finish();
  const int status = status_of(child.wait_status());
  if (!ever) {
    log::print_error({ErrorKind::kUnsupported,
                      fmt::format("{} never became a Go program: {}", options.child[0], why_not),
                      options.follow ? "give the Go program itself, or `mapwatch watch -p PID`"
                                     : "a script or `go test` starts its program as a child: add --follow"});
    return status != 0 ? status : log::exit_status(ErrorKind::kUnsupported);
  }
  if (status == 0 && watcher->hazards() > 0) {
    return options.exit_code.value_or(kHazardsFound);
  }
  return status == 0 && watcher->disabled() > 0 ? log::exit_status(ErrorKind::kUnsupported) : status;
}

}  // namespace

int run_run(const cli::Options& options) {
  ::signal(SIGPIPE, SIG_IGN);
  int failure = kToolFailed;
  const auto status = run(options, failure);
  if (!status) {
    log::print_error(status.error());
    return status.error().kind == ErrorKind::kUnsupported ? log::exit_status(status.error().kind) : failure;
  }
  return *status;
}

}  // namespace mapwatch::app
