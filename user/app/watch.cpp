#include "app/watch.h"

#include <fnmatch.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "app/event_loop.h"
#include "app/plan_printer.h"
#include "app/watcher.h"
#include "base/log.h"

namespace mapwatch::app {

namespace {

bool glob(const std::string& pattern, const std::string& text) {
  return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

bool selected(const cli::Options& options, const proc::ProcFs& procfs, int pid) {
  const auto exe = procfs.exe(pid);
  if (!exe) {
    return false;
  }
  const auto excluded = [&exe](const std::string& pattern) { return glob(pattern, exe->path); };
  if (std::any_of(options.excludes.begin(), options.excludes.end(), excluded)) {
    return false;
  }
  const auto comm = procfs.comm(pid);
  const std::string base = exe->path.substr(exe->path.rfind('/') + 1);
  const auto named = [&](const std::string& name) { return base == name || (comm && *comm == name); };
  if (std::any_of(options.names.begin(), options.names.end(), named)) {
    return true;
  }
  const auto matching = [&exe](const std::string& pattern) { return glob(pattern, exe->path); };
  if (std::any_of(options.exe_globs.begin(), options.exe_globs.end(), matching)) {
    return true;
  }
  if (!options.cgroup.empty()) {
    const auto cgroup = procfs.cgroup(pid);
    return cgroup && cgroup->shown().rfind(options.cgroup, 0) == 0;
  }
  return false;
}

/// PIDs by -p, then those that the selectors choose.
Result<std::vector<int>> select(const cli::Options& options) {
  std::vector<int> pids = options.pids;
  if (options.names.empty() && options.exe_globs.empty() && options.cgroup.empty()) {
    return pids;
  }
  const proc::ProcFs procfs(options.procfs);
  for (const int pid : TRY(procfs.pids())) {
    if (pid != static_cast<int>(::getpid()) && std::find(pids.begin(), pids.end(), pid) == pids.end() &&
        selected(options, procfs, pid)) {
      pids.push_back(pid);
    }
  }
  if (pids.empty()) {
    return fail(ErrorKind::kFailed, "no process matches the selectors", "see `mapwatch ls -a`");
  }
  return pids;
}

Result<int> dry_run(const cli::Options& options, const std::vector<int>& pids) {
  for (const int pid : pids) {
    attach::Target target = TRY(attach::Target::open(pid, proc::ProcFs(options.procfs)));
    BinaryCache cache;
    const auto binary = TRY(cache.load(target));
    print_plan(binary->plan, options.output == cli::Output::kJson);
  }
  return 0;
}

Result<int> watch(const cli::Options& options) {
  if (options.all) {
    return fail(ErrorKind::kUsage, "-a is not in this version", "choose processes with -p, -n, -x or --cgroup");
  }
  const std::vector<int> pids = TRY(select(options));
  if (pids.empty()) {
    return fail(ErrorKind::kUsage, "nothing to watch",
                "choose processes with -p, -n, -x or --cgroup; see `mapwatch ls`");
  }
  if (options.dry_run) {
    return dry_run(options, pids);
  }
  const SystemClock clock;
  EventLoop loop = TRY(EventLoop::create({SIGINT, SIGTERM, SIGHUP}));
  auto watcher = TRY(Watcher::create(options, STDOUT_FILENO, clock));
  for (const int fd : watcher->fds()) {
    TRY(loop.watch(fd));
  }
  // With -p each process was named by the user: one that cannot be watched is an error. Selectors take what they can.
  for (const int pid : pids) {
    auto added = watcher->add(pid);
    if (added) {
      continue;
    }
    if (std::find(options.pids.begin(), options.pids.end(), pid) != options.pids.end()) {
      return tl::unexpected(std::move(added).error());
    }
    log::print_error(added.error());
  }
  if (watcher->targets() == 0) {
    return fail(ErrorKind::kUnsupported, "none of the chosen processes can be watched", "see `mapwatch ls -a`");
  }
  for (const auto& [pid, fd] : watcher->pidfds()) {
    TRY(loop.watch(fd));
  }
  const std::uint64_t start = clock.monotonic_ns();
  const std::uint64_t end =
      options.duration_ns ? start + *options.duration_ns : std::numeric_limits<std::uint64_t>::max();
  bool stop = false;
  while (!stop && watcher->targets() > 0 && !watcher->want_stop()) {
    const std::uint64_t now = clock.monotonic_ns();
    if (now >= end) {
      break;
    }
    // The timeout settles lone halves and follows CPU time; events themselves wake the loop at once.
    const auto timeout = static_cast<int>(std::min<std::uint64_t>(100, (end - now) / 1'000'000 + 1));
    const EventLoop::Woken woken = TRY(loop.wait(timeout));
    stop = !woken.signals.empty();
    for (const int pid : TRY(watcher->turn())) {
      // Its old program is gone with its probes; the new one is watched when it can be.
      watcher->drop(pid);
      if (auto again = watcher->add(pid); !again) {
        log::info("PID {} runs another program now, which is not watched: {}", pid, again.error().message);
        continue;
      }
      for (const auto& [watched, fd] : watcher->pidfds()) {
        if (watched == pid) {
          TRY(loop.watch(fd));
        }
      }
    }
  }
  watcher->finish();
  if (watcher->hazards() > 0) {
    return options.exit_code.value_or(0);
  }
  return watcher->disabled() > 0 ? log::exit_status(ErrorKind::kUnsupported) : 0;
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
