#include "app/host_watch.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "base/progress.h"

namespace mapwatch::app {

namespace {

/// A process of an armed file is looked at after this long; until then the kernel side watches its marks.
constexpr std::uint64_t kBriefNs = 20'000'000;
constexpr std::uint64_t kCheckNs = 100'000'000;
constexpr std::uint64_t kForgetNs = 1'000'000'000;
constexpr int kTurnMs = 100;
constexpr std::size_t kMaxTold = 1024;

/// Some descriptors a process: the usual soft limit of 1024 ends at 300 of them.
void raise_fd_limit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      log::debug("the limit of open files stays as it is");
    }
  }
}

}  // namespace

HostWatch::HostWatch(const cli::Options& options, const Clock& clock)
    : options_(options),
      clock_(clock),
      procfs_(options.procfs),
      continuing_(Selector(options).any()),
      discovery_(std::in_place, options, procfs_) {}

Result<std::unique_ptr<HostWatch>> HostWatch::create(const cli::Options& options, int findings_fd, const Clock& clock,
                                                     EventLoop& loop) {
  std::unique_ptr<HostWatch> host(new HostWatch(options, clock));
  if (host->continuing_) {
    raise_fd_limit();
  }
  using Execs = attach::Kernel::Execs;
  host->watcher_ =
      TRY(Watcher::create(options, findings_fd, clock, host->continuing_ ? Execs::kEvery : Execs::kOfWatched));
  for (const int fd : host->watcher_->fds()) {
    TRY(loop.watch(fd));
  }
  return host;
}

Result<void> HostWatch::start() {
  for (const int pid : options_.pids) {
    TRY(watcher_->add(pid));
    ++counts_.attached;
  }
  if (!continuing_) {
    return {};
  }
  TRY(scan());
  log::info("watching {} {}{}", watcher_->targets(), watcher_->targets() == 1 ? "process" : "processes",
            watcher_->targets() == 0 ? " yet; others are as they start" : "");
  return {};
}

Result<void> HostWatch::scan() {
  discovery_->leave_out(watcher_->own_pids());
  Progress progress(STDERR_FILENO, !options_.quiet, clock_);
  const std::vector<int> pids = TRY(procfs_.pids());
  std::uint64_t turned_ns = clock_.monotonic_ns();
  for (std::size_t i = 0; i < pids.size(); ++i) {
    if (!watcher_->watches(pids[i])) {
      look_at(pids[i], false);
    }
    progress.show(
        fmt::format("mapwatch: {} of {} processes looked at, {} watched", i + 1, pids.size(), watcher_->targets()));
    // A process that crashes meanwhile stands still until its event is read.
    if (clock_.monotonic_ns() - turned_ns > kBriefNs) {
      TRY(turn());
      turned_ns = clock_.monotonic_ns();
    }
  }
  return {};
}

bool HostWatch::add(int pid, Match match, const FileKey* file) {
  const auto added = watcher_->add(pid, match);
  settled_[pid] = clock_.monotonic_ns();
  if (added) {
    ++counts_.attached;
    return true;
  }
  ++counts_.errors[added.error().kind];
  if (added.error().kind == ErrorKind::kGone) {
    ++(file != nullptr && watcher_->armed(*file) ? counts_.brief : counts_.unseen);
    log::debug("PID {}: {}", pid, log::printable(added.error().message));
    return false;
  }
  ++counts_.refused;
  if (const auto stat = procfs_.stat(pid); stat && refused_.size() < kMaxTold) {
    refused_.insert_or_assign(pid, Refused{stat->comm, added.error().message, stat->start_time});
  }
  // Under -a nobody asked for this one by name.
  if (!options_.all && file != nullptr && told_.size() < kMaxTold && told_.insert(*file).second) {
    log::print_error(added.error());
  } else {
    log::debug("PID {} is not watched: {}", pid, log::printable(added.error().message));
  }
  return false;
}

void HostWatch::look_at(int pid, bool adopted) { act_on(pid, discovery_->look(pid), adopted); }

void HostWatch::act_on(int pid, const Discovery::Look& look, bool adopted) {
  ignored_.erase(pid);
  using Verdict = Discovery::Verdict;
  if (look.verdict == Verdict::kWanted && add(pid, look.match, &look.file)) {
    return;
  }
  if (look.verdict == Verdict::kGone) {
    count_gone(pid, adopted);
  } else if (look.verdict != Verdict::kNotGo && watcher_->armed(look.file)) {
    // Without an answer the kernel side would ask again at its next hit.
    if (const auto stat = procfs_.stat(pid)) {
      watcher_->ignore(pid, look.file);
      ignored_.insert_or_assign(pid, Ignored{stat->start_time, look.file});
      return;
    }
  }
  if (adopted) {
    watcher_->forget_new(pid);
  }
}

void HostWatch::count_gone(int pid, bool adopted) {
  const std::uint64_t now = clock_.monotonic_ns();
  if (!adopted) {
    ++counts_.unseen;
    unseen_[pid] = now;
    return;
  }
  ++counts_.brief;
  settled_[pid] = now;
  counts_.unseen -= unseen_.erase(pid);
}

void HostWatch::note(const Watcher::NewProcess& news) {
  const auto waiting = waiting_.find(news.pid);
  if (watcher_->watches(news.pid) || (news.adopted && (waiting != waiting_.end() || ignored_.contains(news.pid)))) {
    return;
  }
  if (const auto settled = settled_.find(news.pid);
      news.adopted && settled != settled_.end() && news.time_ns < settled->second) {
    watcher_->forget_new(news.pid);
    return;
  }
  if (!news.adopted) {
    unseen_.erase(news.pid);
  }
  if (waiting != waiting_.end()) {
    // An exec under a number that was to be looked at: whoever had it is gone.
    ++counts_.brief;
    waiting_.erase(waiting);
  }
  const Discovery::Look look = discovery_->look(news.pid);
  if (look.verdict == Discovery::Verdict::kWanted && watcher_->armed(look.file)) {
    const std::uint64_t due = std::max(news.time_ns + kBriefNs, clock_.monotonic_ns());
    pending_.push_back({news.pid, due});
    waiting_.emplace(news.pid, due);
    return;
  }
  act_on(news.pid, look, news.adopted);
}

void HostWatch::look_at_pending() {
  while (!pending_.empty() && pending_.front().due_ns <= clock_.monotonic_ns()) {
    const Pending pending = pending_.front();
    pending_.pop_front();
    const auto waiting = waiting_.find(pending.pid);
    if (waiting == waiting_.end() || waiting->second != pending.due_ns) {
      continue;
    }
    waiting_.erase(waiting);
    if (!watcher_->watches(pending.pid)) {
      look_at(pending.pid, true);
    }
  }
}

void HostWatch::sweep_ignored() {
  std::erase_if(ignored_, [this](const auto& entry) {
    const auto& [pid, ignored] = entry;
    const auto stat = procfs_.stat(pid);
    if (stat && !stat->dead() && stat->start_time == ignored.start_time && watcher_->armed(ignored.file)) {
      return false;
    }
    watcher_->forget_new(pid);
    return true;
  });
}

void HostWatch::sweep_refused() {
  std::erase_if(refused_, [this](const auto& entry) {
    const auto stat = procfs_.stat(entry.first);
    return watcher_->watches(entry.first) || !stat || stat->dead() || stat->start_time != entry.second.start_time;
  });
}

Result<void> HostWatch::reload(const cli::Options& options) {
  report::Suppressions suppressions = TRY(report::Suppressions::load(options.suppressions));
  options_ = options;
  discovery_.emplace(options_, procfs_);
  discovery_->leave_out(watcher_->own_pids());
  told_.clear();
  refused_.clear();
  const std::vector<int> changed = watcher_->reconfigure(options_, std::move(suppressions));
  std::vector<int> pids;
  for (const Watcher::Shown& shown : watcher_->shown()) {
    pids.push_back(shown.target.pid());
  }
  std::vector<std::pair<int, Discovery::Look>> left;
  for (const int pid : pids) {
    const Discovery::Look look = discovery_->look(pid);
    const bool wanted = look.verdict == Discovery::Verdict::kWanted;
    if (look.verdict == Discovery::Verdict::kGone || (wanted && !std::ranges::binary_search(changed, pid))) {
      continue;
    }
    watcher_->drop(pid);
    if (!wanted) {
      left.emplace_back(pid, look);
    }
  }
  watcher_->disarm_idle();  // how a file is sampled is decided when it is armed
  for (const auto& [pid, look] : left) {
    act_on(pid, look, false);
  }
  return scan();
}

Result<void> HostWatch::turn() {
  const Watcher::Turn turned = TRY(watcher_->turn());
  for (const int pid : turned.execs) {
    // Its old program is gone with its probes; the new one is watched when it can be.
    watcher_->drop(pid);
    if (continuing_) {
      unseen_.erase(pid);
      look_at(pid, false);
    } else if (auto again = watcher_->add(pid); !again) {
      log::info("PID {} runs another program now, which is not watched: {}", pid,
                log::printable(again.error().message));
    }
  }
  for (const Watcher::NewProcess& news : turned.news) {
    note(news);
  }
  look_at_pending();
  const std::uint64_t now = clock_.monotonic_ns();
  if (!continuing_ || now < next_check_ns_) {
    return {};
  }
  next_check_ns_ = now + kCheckNs;
  sweep_ignored();
  sweep_refused();
  for (auto* times : {&settled_, &unseen_}) {
    std::erase_if(*times, [now](const auto& entry) { return now - entry.second > kForgetNs; });
  }
  if (const std::uint64_t lost = watcher_->lost_news(); lost != lost_news_) {
    log::warn("{} starts of processes were not told of (ring full): looking through /proc", lost - lost_news_);
    lost_news_ = lost;
    ++counts_.rescans;
    TRY(scan());
  }
  return {};
}

int HostWatch::timeout_ms() const {
  if (pending_.empty()) {
    return kTurnMs;
  }
  const std::uint64_t now = clock_.monotonic_ns();
  const std::uint64_t due = pending_.front().due_ns;
  return due <= now ? 0 : static_cast<int>(std::min<std::uint64_t>((due - now) / 1'000'000 + 1, kTurnMs));
}

bool HostWatch::over() const { return watcher_->want_stop() || (!continuing_ && watcher_->targets() == 0); }

int HostWatch::exit_status() const {
  if (watcher_->hazards() > 0) {
    return options_.exit_code.value_or(0);
  }
  return watcher_->disabled() > 0 ? log::exit_status(ErrorKind::kUnsupported) : 0;
}

void HostWatch::finish() {
  if (continuing_) {
    if (auto last = turn(); !last) {
      log::print_error(last.error());
    }
    counts_.brief += waiting_.size();
  }
  watcher_->finish();
  if (continuing_) {
    log::info(
        "{} processes watched, {} more by their marks alone (they ended within {} ms), {} could not be; {} of any "
        "kind ended before they could be looked at{}",
        counts_.attached, counts_.brief, kBriefNs / 1'000'000, counts_.refused, counts_.unseen,
        counts_.rescans > 0 ? fmt::format("; /proc looked through {} times after lost events", counts_.rescans) : "");
  }
}

}  // namespace mapwatch::app
