#include "app/watch.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "app/alerting.h"
#include "app/discovery.h"
#include "app/event_loop.h"
#include "app/host_watch.h"
#include "app/plan_printer.h"
#include "app/program.h"
#include "app/selector.h"
#include "app/state_dir.h"
#include "base/log.h"

namespace mapwatch::app {

namespace {

/// PIDs by -p, then those that the selectors choose.
Result<std::vector<int>> select(const cli::Options& options) {
  std::vector<int> pids = options.pids;
  if (!Selector(options).any()) {
    return pids;
  }
  const proc::ProcFs procfs(options.procfs);
  Discovery discovery(options, procfs);
  for (const int pid : TRY(procfs.pids())) {
    if (std::find(pids.begin(), pids.end(), pid) == pids.end() &&
        discovery.look(pid).verdict == Discovery::Verdict::kWanted) {
      pids.push_back(pid);
    }
  }
  if (pids.empty()) {
    return fail(ErrorKind::kFailed, "no process matches the selectors", "see `mapwatch ls -a`");
  }
  return pids;
}

Result<int> dry_run(const cli::Options& options) {
  for (const int pid : TRY(select(options))) {
    attach::Target target = TRY(attach::Target::open(pid, proc::ProcFs(options.procfs)));
    ProgramCache cache;
    const auto program = TRY(cache.load(target));
    print_plan(program->plan(), options.output == cli::Output::kJson);
  }
  return 0;
}

Result<int> watch(const cli::Options& options) {
  if (options.dry_run) {
    return dry_run(options);
  }
  const SystemClock clock;
  EventLoop loop = TRY(EventLoop::create({SIGINT, SIGTERM, SIGHUP}));
  TRY(check_state_dir(options));
  const auto alerting = TRY(Alerting::start(options, clock));
  auto host = TRY(HostWatch::create(options, STDOUT_FILENO, clock, loop));
  alerting->follow(host->watcher());
  TRY(host->start());
  const std::uint64_t start = clock.monotonic_ns();
  const std::uint64_t end =
      options.duration_ns ? start + *options.duration_ns : std::numeric_limits<std::uint64_t>::max();
  bool stop = false;
  while (!stop && !host->over()) {
    const std::uint64_t now = clock.monotonic_ns();
    if (now >= end) {
      break;
    }
    // The timeout settles lone halves and follows CPU time; events themselves wake the loop at once.
    const auto left = std::min<std::uint64_t>((end - now) / 1'000'000 + 1, 1'000'000);
    const EventLoop::Woken woken = TRY(loop.wait(std::min(host->timeout_ms(), static_cast<int>(left))));
    stop = !woken.signals.empty();
    TRY(host->turn());
  }
  host->finish();
  alerting->finish();
  return host->exit_status();
}

}  // namespace

int run_watch(const cli::Options& options) {
  ::signal(SIGPIPE, SIG_IGN);
  const auto status = watch(options);
  if (!status) {
    log::print_error(status.error());
    return log::exit_status(status.error().kind);
  }
  return *status;
}

}  // namespace mapwatch::app
