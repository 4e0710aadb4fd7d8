#include "app/watcher.h"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "app/output.h"
#include "app/vouch.h"
#include "app/watcher_options.h"
#include "attach/text_check.h"
#include "base/log.h"
#include "ingest/record_json.h"

namespace mapwatch::app {

namespace {

std::uint64_t cpu_ticks(const proc::ProcFs& procfs, int pid) {
  const auto stat = procfs.stat(pid);
  return stat ? stat->user_ticks + stat->system_ticks : 0;
}

}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::create(const cli::Options& options, int findings_fd, const Clock& clock) {
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
  TRY(kernel.follow_exec());
  report::Suppressions suppressions = TRY(report::Suppressions::load(options.suppressions));
  report::Writer writer = TRY(report::Writer::create(writer_options(options, findings_fd), clock));
  std::unique_ptr<ingest::RecordWriter> recorder;
  if (!options.record.empty()) {
    recorder = TRY(ingest::RecordWriter::create(options.record));
  }
  std::unique_ptr<Watcher> watcher(new Watcher(options, clock, std::move(self_test), std::move(kernel),
                                               std::move(writer), std::move(suppressions), std::move(recorder)));
  watcher->ring_ = TRY(ingest::RingSource::create(watcher->kernel_.ring_fd()));
  watcher->freezer_ = std::move(freezer);
  watcher->freezer_->connect(watcher->kernel_);
  watcher->freezer_->on_frozen([raw = watcher.get()](const Frozen& frozen) { raw->crash_recorder_.copy(frozen); });
  return watcher;
}

Watcher::Watcher(const cli::Options& options, const Clock& clock, attach::SelfTest self_test, attach::Kernel kernel,
                 report::Writer writer, report::Suppressions suppressions,
                 std::unique_ptr<ingest::RecordWriter> recorder)
    : options_(options),
      clock_(clock),
      self_test_(std::move(self_test)),
      kernel_(std::move(kernel)),
      recorder_(std::move(recorder)),
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

bool Watcher::inode_wide() const { return kernel_.link_kind() == attach::LinkKind::kPerf || !self_test_.pid_filter; }

Result<std::shared_ptr<attach::ProbeSet>> Watcher::attach(const attach::Target& target, const WatchedBinary& binary) {
  if (inode_wide()) {
    if (auto standing = inode_wide_[binary.layout].lock()) {
      return standing;
    }
  }
  attach::AttachRequest request;
  request.path = target.attach_path();
  request.pid = inode_wide() ? -1 : target.pid();
  request.layout = binary.layout;
  request.first_site = binary.first_site;
  auto probes = std::make_shared<attach::ProbeSet>(TRY(kernel_.attach(binary.plan, request)));
  if (inode_wide()) {
    inode_wide_[binary.layout] = probes;
  }
  return probes;
}

Result<void> Watcher::add(int pid) {
  const std::uint64_t begin = clock_.monotonic_ns();
  const proc::ProcFs procfs(options_.procfs);
  attach::Target target = TRY(attach::Target::open(pid, procfs));
  attach::TargetLock lock = TRY(attach::TargetLock::acquire(options_.run_dir, pid, target.start_time(), "mapwatch"));
  const auto binary = TRY(binaries_.load(target));
  const std::uint64_t bias = TRY(target.load_bias(binary->binary));
  const auto memory = TRY(attach::ProcessMemory::open(target, procfs));
  const auto notes = TRY(attach::verify_bytes(binary->plan, binary->binary, memory.reader(), bias));
  for (const std::string& note : notes.notes) {
    log::warn("PID {}: {}", pid, log::printable(note));
  }
  TRY(kernel_.set_layout(binary->layout, attach::layout_of(binary->binary)));
  const mw_policy policy = TRY(policy_for(options_, pid));

  Watched watched{std::move(target), std::move(lock), binary, nullptr, bias, 0, 0};
  watched.cpu_ticks_at_start = watched.cpu_ticks = cpu_ticks(procfs, pid);
  const elf::GoBinary& go = binary->binary;
  report::Subject subject;
  subject.info = {static_cast<std::uint32_t>(pid),
                  static_cast<std::uint32_t>(watched.target.ns_pid()),
                  watched.target.exe_path(),
                  (go.unverified() ? "unverified " : "") + go.version().text,
                  go.build_id(),
                  watched.target.cgroup()};
  subject.wall_offset_ns = clock_.realtime_ns() - static_cast<std::int64_t>(clock_.monotonic_ns());
  const auto tgid = static_cast<std::uint32_t>(pid);
  trust_.forget(tgid);
  correlator_.set_process({tgid, bias, go.build_id()});
  record(ingest::ChunkTag::kProcess, ingest::encode(ingest::ProcessRecord{
                                         tgid, subject.info.pid, subject.info.ns_pid, subject.info.exe, subject.info.go,
                                         subject.info.build_id, subject.info.cgroup, bias, subject.wall_offset_ns}));
  reports_.post([this, tgid, subject, binary, bias] {
    live_symbols_.add_process(tgid, std::shared_ptr<const elf::GoBinary>(binary, &binary->binary), bias);
    publisher_.set_process(tgid, subject);
  });
  // The policy first: a hit between the two calls is then counted, not lost.
  TRY(kernel_.set_policy(tgid, policy));
  auto probes = attach(watched.target, *binary);
  if (!probes) {
    kernel_.drop_policy(tgid);
    if (auto still = watched.target.check(); !still) {
      return still;
    }
    return tl::unexpected(std::move(probes).error());
  }
  watched.probes = *probes;
  if (auto same = watched.target.check(); !same) {
    kernel_.drop_policy(tgid);
    return same;
  }
  for (const std::size_t site : attach::silent_sites(binary->plan, memory.reader(), bias)) {
    log::warn("PID {}: the probe on {} does not stand in the process: that function is not watched", pid,
              log::printable(binary->plan.probes[site].function));
  }
  sites_ += binary->plan.probes.size();
  crash_recorder_.add(pid, binary, bias);
  freezer_->add(watched.target, binary->plan, bias);
  announce(watched, clock_.monotonic_ns() - begin);
  targets_.insert_or_assign(pid, std::move(watched));
  return {};
}

void Watcher::announce(const Watched& watched, std::uint64_t took_ns) const {
  const elf::GoBinary& go = watched.binary->binary;
  log::info("attached to PID {} ({}, {}{}): {} probes in {} ms, {}{}", watched.target.pid(),
            log::printable(watched.target.exe_path()), go.unverified() ? "unverified " : "", go.version().text,
            watched.binary->plan.probes.size(), took_ns / 1'000'000,
            kernel_.link_kind() == attach::LinkKind::kMulti ? "uprobe_multi" : "perf_event",
            inode_wide() ? ", inode-wide: other processes of this file are patched too" : "");
}

void Watcher::retire(int pid) {
  const auto found = targets_.find(pid);
  if (found == targets_.end()) {
    return;
  }
  target_cpu_ticks_ += found->second.cpu_ticks - found->second.cpu_ticks_at_start;
  kernel_.drop_policy(static_cast<std::uint32_t>(pid));
  freezer_->drop(pid);
  crash_recorder_.drop(pid);
  reports_.post([this, pid] { crash_recorder_.forget(static_cast<std::uint32_t>(pid)); });
  targets_.erase(found);
}

void Watcher::drop(int pid) {
  publish(correlator_.forget_process(static_cast<std::uint32_t>(pid)));
  retire(pid);
}

std::vector<int> Watcher::fds() const {
  std::vector<int> out = {ring_->epoll_fd()};
  if (freezer_->fd() >= 0) {
    out.push_back(freezer_->fd());
  }
  return out;
}

std::vector<std::pair<int, int>> Watcher::pidfds() const {
  std::vector<std::pair<int, int>> out;
  for (const auto& [pid, watched] : targets_) {
    out.emplace_back(pid, watched.target.pidfd());
  }
  return out;
}

void Watcher::record(ingest::ChunkTag tag, Bytes payload) {
  if (!recorder_) {
    return;
  }
  if (auto written = recorder_->append(tag, payload); !written) {
    log::print_error(written.error());
  }
}

void Watcher::record_published(const report::Report& report, std::uint32_t tgid) {
  ingest::ReportedRecord out;
  out.tgid = tgid;
  if (const auto* hazard = std::get_if<report::HazardReport>(&report)) {
    out.id = hazard->id;
    out.count = hazard->count;
    out.printed_ns = hazard->printed_ns;
  } else if (const auto* crash = std::get_if<report::CrashReport>(&report)) {
    out.id = crash->id;
    out.printed_ns = crash->printed_ns;
  } else {
    return;
  }
  record(ingest::ChunkTag::kReported, ingest::encode(out));
}

void Watcher::disable(std::uint32_t tgid, const std::string& why) {
  ++disabled_;
  log::print_error(
      {ErrorKind::kUnsupported,
       fmt::format("PID {} is not watched any more: {}, so the layout used for its version of Go is wrong", tgid, why),
       "update mapwatch, or build the program without -s -w: its DWARF then tells the layout"});
  (void)correlator_.forget_process(tgid);  // the halves that wait are as little worth
  retire(static_cast<int>(tgid));
}

void Watcher::on_record(Bytes bytes, std::vector<int>& execs) {
  // First of all: a process may stand still for this event.
  std::optional<Freezer::Capture> capture;
  const auto head = bytes.read<mw_event_head>(0);
  if (head && head->kind == MW_EVENT_FATAL) {
    const auto found = targets_.find(static_cast<int>(head->tgid));
    capture = freezer_->capture(bytes, found == targets_.end() ? nullptr : &found->second.target);
    bytes = capture ? Bytes(&capture->event, sizeof(capture->event)) : bytes;
  }
  auto event = ingest::decode(bytes);
  std::vector<std::byte> vouched;
  if (event) {
    const std::uint32_t tgid = std::visit([](const auto& any) { return any.head.tgid; }, *event);
    if (const auto why = trust_.judge(*event)) {
      disable(tgid, *why);
    }
    if (trust_.distrusts(tgid)) {
      return;  // not recorded either: a replay tells what the run told
    }
    const auto target = targets_.find(static_cast<int>(tgid));
    const Watched* watched = target == targets_.end() ? nullptr : &target->second;
    vouched = vouch(*event, bytes, watched ? &watched->binary->binary : nullptr, watched ? watched->bias : 0);
    bytes = vouched.empty() ? bytes : Bytes(vouched.data(), vouched.size());
  }
  record(ingest::ChunkTag::kEvent, bytes);
  if (!event) {
    ++malformed_;
    log::warn("kernel event not understood: {}", event.error().message);
    return;
  }
  if (const auto* exec = std::get_if<ingest::ExecEvent>(&*event)) {
    execs.push_back(static_cast<int>(exec->head.tgid));
  }
  if (const auto* fatal = std::get_if<ingest::FatalEvent>(&*event); fatal != nullptr && !capture) {
    crash_recorder_.also_fatal(*fatal);
  }
  std::vector<correlate::Finding> findings = correlator_.add(*event);
  for (correlate::Finding& finding : findings) {
    if (auto* crash = std::get_if<correlate::Crash>(&finding); crash != nullptr && capture) {
      crash->frozen_ns = capture->frozen_ns;
    }
  }
  publish(std::move(findings));
}

void Watcher::publish(std::vector<correlate::Finding> findings) {
  for (correlate::Finding& finding : findings) {
    reports_.post_finding([this, finding = std::move(finding)] {
      std::optional<report::Report> written;
      const report::Published outcome = publisher_.publish(finding, &written);
      if (written) {
        record_published(*written, std::visit([](const auto& any) { return any.tgid; }, finding));
      }
      if (outcome == report::Published::kClosed || publisher_.want_stop()) {
        stop_.store(true);
      }
    });
  }
}

Result<std::vector<int>> Watcher::turn() {
  std::vector<int> execs;
  TRY(ring_->poll(std::chrono::milliseconds(0), [this, &execs](Bytes record) { on_record(record, execs); }));
  freezer_->turn();
  publish(correlator_.settle(clock_.monotonic_ns()));
  const proc::ProcFs procfs(options_.procfs);
  std::vector<int> gone;
  for (auto& [pid, watched] : targets_) {
    const std::uint64_t ticks = cpu_ticks(procfs, pid);
    watched.cpu_ticks = std::max(watched.cpu_ticks, ticks);
    if (!watched.target.alive()) {
      gone.push_back(pid);
    }
  }
  if (!gone.empty()) {
    // What a process sent before it died is in the ring by now.
    TRY(ring_->poll(std::chrono::milliseconds(0), [this, &execs](Bytes record) { on_record(record, execs); }));
  }
  for (const int pid : gone) {
    log::info("PID {} is gone", pid);
    drop(pid);
  }
  return execs;
}

void Watcher::finish() {
  if (finished_) {
    return;
  }
  finished_ = true;
  const proc::ProcFs procfs(options_.procfs);
  std::vector<int> pids;
  for (auto& [pid, watched] : targets_) {
    watched.cpu_ticks = std::max(watched.cpu_ticks, cpu_ticks(procfs, pid));
    pids.push_back(pid);
  }
  // Nothing the target pays for outlives this loop; one that is frozen at this moment is still known below.
  for (auto& [pid, watched] : targets_) {
    kernel_.drop_policy(static_cast<std::uint32_t>(pid));
    watched.probes.reset();
  }
  std::vector<int> execs;
  if (ring_) {
    if (auto rest =
            ring_->poll(std::chrono::milliseconds(0), [this, &execs](Bytes record) { on_record(record, execs); });
        !rest) {
      log::print_error(rest.error());
    }
  }
  for (const int pid : pids) {
    retire(pid);
  }
  publish(correlator_.settle(UINT64_MAX));
  reports_.drain();
  const auto counters = kernel_.counters();
  if (!counters) {
    log::print_error(counters.error());
    return;
  }
  const struct {
    const char* stage;
    std::uint64_t count;
  } stages[] = {{"ring", counters->lost_ring + malformed_},
                {"table", counters->lost_slot},
                {"export", writer_.lost() + reports_.refused()}};
  for (const auto& [stage, count] : stages) {
    if (count > 0) {
      record(ingest::ChunkTag::kLost, ingest::encode(ingest::LostRecord{stage, count}));
      report::Report lost = report::LostReport{stage, count};
      writer_.write(lost);
    }
  }
  const report::SummaryReport sums = summary(*counters, stages[0].count + stages[2].count);
  record(ingest::ChunkTag::kCounters,
         ingest::encode(ingest::CountersRecord{sums.duration_ns, sums.hits, sums.dwells, sums.lost, sums.sites,
                                               sums.sites_armed, sums.armed_share, sums.ns_per_hit, sums.target_cost,
                                               sums.own_cpu_s, sums.own_rss_bytes}));
  report::Report last = sums;
  writer_.write(last);
  crash_recorder_.finish();
}

}  // namespace mapwatch::app
