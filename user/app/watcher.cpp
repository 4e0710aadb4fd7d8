#include "app/watcher.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "app/output.h"
#include "app/watcher_options.h"
#include "attach/cpu_limits.h"
#include "attach/text_check.h"
#include "base/log.h"
#include "ingest/record_json.h"

namespace mapwatch::app {

namespace {
/// Processes that ended, of which the summary tells.
constexpr std::size_t kMaxOdds = 1024;
}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::create(const cli::Options& options, int findings_fd, const Clock& clock,
                                                 attach::Kernel::Execs execs) {
  std::unique_ptr<Freezer> freezer = Freezer::create(options, clock);  // before any BPF object
  attach::SelfTest self_test = TRY(attach::self_test(options.attach == cli::AttachMode::kPerf));
  attach::Kernel::Options kernel_options;
  kernel_options.ring_size = options.ring_size;
  if (options.attach == cli::AttachMode::kPerf ||
      (options.attach == cli::AttachMode::kAuto && !self_test.uprobe_multi)) {
    kernel_options.link = attach::LinkKind::kPerf;
  } else if (!self_test.uprobe_multi) {
    return fail(ErrorKind::kUnsupported, "this kernel has no uprobe_multi links: " + self_test.reason,
                "use --attach auto or perf (kernel 6.6 and newer have them)");
  }
  attach::Kernel kernel = TRY(attach::Kernel::load(kernel_options));
  TRY(kernel.follow_exec(execs));
  report::Suppressions suppressions = TRY(report::Suppressions::load(options.suppressions));
  report::Writer writer = TRY(report::Writer::create(writer_options(options, findings_fd), clock));
  std::unique_ptr<ingest::RecordWriter> recorder;
  if (!options.record.empty()) {
    recorder = TRY(ingest::RecordWriter::create(options.record));
  }
  std::unique_ptr<Watcher> watcher(new Watcher(options, clock, std::move(self_test), std::move(kernel), execs,
                                               std::move(writer), std::move(suppressions), std::move(recorder)));
  watcher->governor_ =
      TRY(Governor::create(watcher->kernel_, watcher->site_numbers_, cost_model(watcher->self_test_), clock));
  watcher->arms_.emplace(watcher->kernel_, *watcher->governor_, watcher->site_numbers_, clock,
                         Arms::Options{watcher->narrow(), execs == attach::Kernel::Execs::kEvery});
  watcher->exits_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!watcher->exits_) {
    return fail_errno("epoll_create1");
  }
  watcher->ring_ = TRY(ingest::RingSource::create(watcher->kernel_.ring_fd()));
  watcher->freezer_ = std::move(freezer);
  watcher->freezer_->connect(watcher->kernel_);
  watcher->freezer_->on_frozen([raw = watcher.get()](Frozen& frozen) { raw->crash_recorder_.copy(frozen); });
  return watcher;
}

Watcher::Watcher(const cli::Options& options, const Clock& clock, attach::SelfTest self_test, attach::Kernel kernel,
                 attach::Kernel::Execs execs, report::Writer writer, report::Suppressions suppressions,
                 std::unique_ptr<ingest::RecordWriter> recorder)
    : options_(options),
      clock_(clock),
      self_test_(std::move(self_test)),
      kernel_(std::move(kernel)),
      execs_(execs),
      settings_(options),
      recorder_(std::move(recorder)),
      cpu_(proc::ProcFs(options.procfs)),
      correlator_(correlator_options(options)),
      recording_symbols_(recorder_ ? std::make_unique<symbolize::RecordingSymbolizer>(live_symbols_, *recorder_)
                                   : nullptr),
      writer_(std::move(writer)),
      suppressions_(std::move(suppressions)),
      publisher_(publisher_options(options),
                 recording_symbols_ ? static_cast<symbolize::Symbolizer&>(*recording_symbols_) : live_symbols_, writer_,
                 suppressions_),
      crash_recorder_(options, clock),
      started_ns_(clock.monotonic_ns()) {
  publisher_.on_crash([this](report::CrashReport& crash) { crash_recorder_.write(crash); });
}

Watcher::~Watcher() { finish(); }

Result<void> Watcher::add(int pid, Match reach) {
  const std::uint64_t begin = clock_.monotonic_ns();
  const proc::ProcFs procfs(options_.procfs);
  attach::Target target = TRY(attach::Target::open(pid, procfs));
  attach::TargetLock lock = TRY(attach::TargetLock::acquire(options_.run_dir, pid, target.start_time(), "mapwatch"));
  const std::shared_ptr<Arm> arm = TRY(arms_->place(target));
  const std::uint64_t bias = TRY(target.load_bias(arm->program()->anchor()));
  const auto memory = TRY(attach::ProcessMemory::open(target, procfs));
  const auto notes = TRY(attach::verify_bytes(arm->plan(), target.exe_fd(), memory.reader(), bias));
  if (!arm->wide()) {  // the breakpoints are not mapwatch's own
    for (const std::string& note : notes.notes) {
      log::warn("PID {}: {}", pid, log::printable(note));
    }
  }
  const attach::CpuLimits cpus = TRY(attach::read_cpu_limits(pid, {procfs, "/sys"}));
  const std::shared_ptr<const cli::Options> options = settings_.of(procfs, pid);
  mw_policy policy = policy_for(*options, cpus);
  policy.layout = arm->layout();

  Watched watched{std::move(target), std::move(lock), arm, nullptr, bias, policy, options};
  const auto tgid = static_cast<std::uint32_t>(pid);
  introduce(tgid, *arm, bias,
            {tgid, static_cast<std::uint32_t>(watched.target.ns_pid()), watched.target.exe_path(), arm->program()->go(),
             arm->program()->build_id(), watched.target.cgroup()});
  const auto give_up = [&] {
    governor_->leave(tgid);
    kernel_.drop_policy(tgid);
    forget(tgid);
  };
  // The policy first: a hit between the two calls is then counted, not lost.
  if (auto set = kernel_.set_policy(tgid, policy); !set) {
    give_up();
    return set;
  }
  auto probes = arms_->attach(arm, watched.target, reach, *options);
  auto armed =
      probes ? governor_->join(**probes,
                               {tgid, cpus.effective(), bias,
                                proc::age_ns(watched.target.start_time(), clock_.boottime_ns()), verifier(watched)},
                               *options)
             : Result<void>(tl::unexpected(std::move(probes).error()));
  if (!armed) {
    give_up();
    TRY(watched.target.check());
    return armed;
  }
  watched.probes = *probes;
  if (auto same = watched.target.check(); !same) {
    give_up();
    return same;
  }
  const std::vector<std::size_t> silent = attach::silent_sites(arm->plan(), memory.reader(), bias);
  // Unless all are to stand for good, the switcher may have taken some out by now, its time being over.
  const std::vector<std::size_t> standing =
      options->sample == "full" ? governor_->standing(**probes) : std::vector<std::size_t>();
  for (const std::size_t site : silent) {
    if (!std::ranges::binary_search(standing, site) && !attach::is_fatal(arm->plan().probes[site])) {
      continue;
    }
    log::warn("PID {}: the probe on {} does not stand in the process: that function is not watched", pid,
              log::printable(arm->plan().probes[site].function));
  }
  crash_recorder_.add(pid, arm->program(), bias);
  freezer_->add(watched.target, arm->plan(), bias);
  cpu_.add(pid);
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = pid;
  if (::epoll_ctl(exits_.get(), EPOLL_CTL_ADD, watched.target.pidfd(), &event) != 0) {
    const int error = errno;
    targets_.insert_or_assign(pid, std::move(watched));
    retire(pid);
    return fail_errno("cannot wait for the end of a process", error);
  }
  watched.target.close_exe();
  const std::uint64_t took_ns = clock_.monotonic_ns() - begin;
  announce(watched, took_ns);
  if (attached_) {
    attached_(took_ns);
  }
  if (options_.on_crash != "none") {
    // Now, rather than while the process stands still, but not beside the attaching.
    beforehand_.post([program = arm->program()] { (void)program->runtime(); });
  }
  targets_.insert_or_assign(pid, std::move(watched));
  return {};
}

Governor::Verify Watcher::verifier(const Watched& watched) const {
  const int pid = watched.target.pid();
  return [this, pid, arm = watched.arm, bias = watched.bias](const attach::Plan& plan) -> Result<void> {
    const auto found = targets_.find(pid);
    if (found == targets_.end()) {
      return fail(ErrorKind::kGone, fmt::format("process {} is not watched any more", pid));
    }
    TRY(found->second.target.check());
    const auto memory = TRY(attach::ProcessMemory::open(found->second.target, proc::ProcFs(options_.procfs)));
    const UniqueFd file = TRY(arm->program()->file());
    TRY(attach::verify_bytes(plan, file.get(), memory.reader(), bias));
    return {};
  };
}

void Watcher::introduce(std::uint32_t tgid, const Arm& arm, std::uint64_t bias, report::ProcessInfo info) {
  report::Subject subject{std::move(info), clock_.realtime_ns() - static_cast<std::int64_t>(clock_.monotonic_ns())};
  introduced_.erase(tgid);
  trust_.forget(tgid);
  correlator_.set_process({tgid, bias, arm.program()->build_id()});
  record(ingest::ChunkTag::kProcess, ingest::encode(ingest::ProcessRecord{
                                         tgid, subject.info.pid, subject.info.ns_pid, subject.info.exe, subject.info.go,
                                         subject.info.build_id, subject.info.cgroup, bias, subject.wall_offset_ns}));
  reports_.post([this, tgid, subject = std::move(subject), program = arm.program(), bias] {
    live_symbols_.add_process(tgid, program, bias);
    publisher_.set_process(tgid, subject);
  });
}

void Watcher::announce(const Watched& watched, std::uint64_t took_ns) const {
  const bool wide = watched.arm->wide();
  const std::string text = fmt::format("attached to PID {} ({}, {}): {} probes in {} ms, {}{}", watched.target.pid(),
                                       log::printable(watched.target.exe_path()), watched.arm->program()->go(),
                                       watched.arm->plan().probes.size(), took_ns / 1'000'000,
                                       kernel_.link_kind() == attach::LinkKind::kMulti ? "uprobe_multi" : "perf_event",
                                       !wide      ? ""
                                       : narrow() ? ", all processes of its file"
                                                  : ", inode-wide: other processes of this file are patched too");
  if (execs_ == attach::Kernel::Execs::kEvery) {
    log::debug("{}", text);  // many processes: the caller counts them
  } else {
    log::info("{}", text);
  }
}

void Watcher::retire(int pid) {
  const auto found = targets_.find(pid);
  if (found == targets_.end()) {
    return;
  }
  if (execs_ != attach::Kernel::Execs::kEvery && !finished_ && odds_.size() < kMaxOdds) {
    const auto figures = governor_->figures();
    if (const auto of = figures.find(static_cast<std::uint32_t>(pid)); of != figures.end()) {
      note_odds(pid, found->second, of->second);
    }
  }
  cpu_.drop(pid);
  governor_->leave(static_cast<std::uint32_t>(pid));
  kernel_.drop_policy(static_cast<std::uint32_t>(pid));
  freezer_->drop(pid);
  crash_recorder_.drop(pid);
  // Not left to close(2): the guardian has a copy.
  ::epoll_ctl(exits_.get(), EPOLL_CTL_DEL, found->second.target.pidfd(), nullptr);
  forget(static_cast<std::uint32_t>(pid));
  targets_.erase(found);
}

void Watcher::forget(std::uint32_t tgid) {
  introduced_.erase(tgid);
  reports_.post([this, tgid] {
    crash_recorder_.forget(tgid);
    publisher_.forget_process(tgid);
    live_symbols_.forget_process(tgid);
  });
}

void Watcher::drop(int pid) {
  publish(correlator_.forget_process(static_cast<std::uint32_t>(pid)));
  retire(pid);
}

std::vector<int> Watcher::reconfigure(const cli::Options& options, report::Suppressions suppressions) {
  settings_ = TargetSettings(options);
  reports_.post([this, suppressions = std::move(suppressions)] { suppressions_ = suppressions; });
  std::vector<int> changed;
  const proc::ProcFs procfs(options_.procfs);
  for (auto& [pid, watched] : targets_) {
    std::shared_ptr<const cli::Options> now = settings_.of(procfs, pid);
    const cli::Options& before = *watched.options;
    if (now->budget != before.budget || now->sample != before.sample || now->dwell_ns != before.dwell_ns) {
      changed.push_back(pid);
    } else {
      watched.options = std::move(now);
    }
  }
  return changed;
}

void Watcher::ignore(int pid, const FileKey& key) {
  const auto tgid = static_cast<std::uint32_t>(pid);
  const auto arm = arms_->wide(key);
  if (!arm) {
    forget_new(pid);
    return;
  }
  if (auto ignored = kernel_.ignore(tgid, arm->layout()); !ignored) {
    log::debug("PID {}: {}", pid, ignored.error().message);
  }
}

void Watcher::forget_new(int pid) {
  const auto tgid = static_cast<std::uint32_t>(pid);
  kernel_.forget_adopted(tgid);
  if (introduced_.contains(tgid)) {
    publish(correlator_.forget_process(tgid));
    forget(tgid);
  }
}

std::vector<int> Watcher::own_pids() const {
  std::vector<int> pids = {static_cast<int>(::getpid())};
  if (const auto guardian = freezer_->guardian_pid()) {
    pids.push_back(*guardian);
  }
  return pids;
}

std::vector<int> Watcher::fds() const {
  std::vector<int> out = {ring_->epoll_fd(), exits_.get()};
  std::ranges::copy(governor_->fds(), std::back_inserter(out));
  if (freezer_->fd() >= 0) {
    out.push_back(freezer_->fd());
  }
  return out;
}

Result<void> Watcher::poll_ring(Turn& turn) {
  const std::size_t taken =
      TRY(ring_->poll(std::chrono::milliseconds(0), [this, &turn](Bytes record) { on_record(record, turn); }));
  last_event_ns_ = taken > 0 ? clock_.monotonic_ns() : last_event_ns_;
  return {};
}

Result<Watcher::Turn> Watcher::turn() {
  Turn turn;
  TRY(poll_ring(turn));
  freezer_->turn();
  governor_->turn();
  publish(correlator_.settle(clock_.monotonic_ns()));
  cpu_.turn(clock_.monotonic_ns());
  epoll_event gone[64];
  const int count = ::epoll_wait(exits_.get(), gone, 64, 0);
  if (count > 0) {
    // What a process sent before it died is in the ring by now.
    TRY(poll_ring(turn));
  }
  for (int i = 0; i < count; ++i) {
    const int pid = gone[i].data.fd;
    if (execs_ == attach::Kernel::Execs::kEvery) {
      log::debug("PID {} is gone", pid);
    } else {
      log::info("PID {} is gone", pid);
    }
    drop(pid);
  }
  arms_->turn();
  return turn;
}

std::uint64_t Watcher::lost_news() const {
  const auto counters = kernel_.counters();
  return counters ? counters->lost_new : 0;
}

}  // namespace mapwatch::app
