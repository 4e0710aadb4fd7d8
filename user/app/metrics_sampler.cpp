#include "app/metrics_sampler.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <numeric>

#include <fmt/format.h>

#include "report/format.h"

namespace mapwatch::app {

namespace {

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

/// Of metrics::kAttachErrors.
std::size_t place_of(ErrorKind kind) {
  const auto named = [](std::string_view name) { return *metrics::place_of(metrics::kAttachErrors, name); };
  switch (kind) {
    case ErrorKind::kUnsupported:
      return named("unsupported");
    case ErrorKind::kGone:
      return named("gone");
    case ErrorKind::kPermission:
      return named("permission");
    case ErrorKind::kMalformed:
      return named("malformed");
    case ErrorKind::kUsage:
    case ErrorKind::kFailed:
      break;
  }
  return named("failed");
}

/// Of metrics::kProbes.
metrics::Counts<metrics::kProbes> by_probe(const Governor::ByOp& by_op) {
  metrics::Counts<metrics::kProbes> out = {};
  for (std::size_t op = 0; op < by_op.size(); ++op) {
    if (const auto place = metrics::place_of(metrics::kProbes, report::op_word(static_cast<mw_op>(op)))) {
      out[*place] += by_op[op];
    }
  }
  return out;
}

/// "go1.26.8", without what is said of one that is newer than the table.
std::string_view plain_version(std::string_view go) { return go.substr(go.rfind(' ') + 1); }

}  // namespace

MetricsSampler::MetricsSampler(HostWatch& host, const Clock& clock) : host_(host), clock_(clock) {
  host_.watcher().observe([this](const auto& finding, report::Published outcome, const auto& report,
                                 const report::ProcessInfo& process) { note(finding, outcome, report, process); });
  host_.watcher().on_attached([this](std::uint64_t took_ns) { attach_.add(took_ns); });
  if (const auto stat = proc::ProcFs().stat(static_cast<int>(::getpid()))) {
    const std::uint64_t age_ns = proc::age_ns(stat->start_time, clock_.boottime_ns());
    start_s_ = static_cast<double>(clock_.realtime_ns() - static_cast<std::int64_t>(age_ns)) / 1e9;
  }
}

void MetricsSampler::note(const correlate::Finding& finding, report::Published outcome,
                          const std::optional<report::Report>& report, const report::ProcessInfo& process) {
  if (outcome == report::Published::kLost) {
    ledger_.lost();
  }
  if (const auto* crash = std::get_if<correlate::Crash>(&finding)) {
    const auto* written = report ? std::get_if<report::CrashReport>(&*report) : nullptr;
    ledger_.crash(process.exe, crash->tgid, crash->crash_class, crash->frozen_ns,
                  written != nullptr && written->dossier);
    return;
  }
  const auto& hazard = std::get<correlate::Hazard>(finding);
  if (outcome == report::Published::kSuppressed) {
    ledger_.suppressed(process.exe);
    return;
  }
  ledger_.hazard(process.exe, hazard.tgid, hazard.id,
                 correlate::classify_pair(hazard.accesses[0].op, hazard.accesses[1].op),
                 report::severity_word(hazard.severity));
}

std::vector<metrics::Process> MetricsSampler::processes(const Governor::Overview& overview) const {
  std::vector<metrics::Process> out;
  for (const Watcher::Shown& shown : host_.watcher().shown()) {
    metrics::Process process;
    process.tgid = static_cast<std::uint32_t>(shown.target.pid());
    process.start_time = shown.target.start_time();
    process.exe = shown.target.exe_path();
    process.go_version = plain_version(shown.arm.program()->go());
    process.budget = shown.options.budget;
    if (const auto of = overview.processes.find(process.tgid); of != overview.processes.end()) {
      process.mode = of->second.status.mode;
      process.overhead = of->second.cost;
      process.seen_share = of->second.status.seen_share;
    }
    out.push_back(std::move(process));
  }
  return out;
}

Result<void> MetricsSampler::add_kernel_side(metrics::Snapshot& snapshot) const {
  const Watcher& watcher = host_.watcher();
  const mw_counters counters = TRY(watcher.counters());
  snapshot.operations = counters.hits;
  snapshot.dwells = counters.dwells;
  snapshot.held_s = seconds(counters.dwell_ns + counters.hold_ns);
  if (const auto runs = watcher.runs()) {  // else it is not told: nothing else depends on it
    snapshot.bpf_runs = runs->count;
    snapshot.bpf_run_s = seconds(runs->time_ns);
  }
  snapshot.probe_hits = by_probe(watcher.governor().hits());
  const Watcher::Flow flow = watcher.flow();
  snapshot.events = flow.events;
  if (flow.last_event_ns > 0) {
    snapshot.last_event_s = snapshot.time_s - seconds(clock_.monotonic_ns() - flow.last_event_ns);
  }
  snapshot.ring_bytes = flow.ring_bytes;
  snapshot.ring_used_bytes = flow.ring_used;
  snapshot.queue_length = flow.waiting;
  snapshot.symbol_cache_bytes = flow.symbol_bytes;
  for (const auto& [stage, lost] : {std::pair<std::string_view, std::uint64_t>{"ring", counters.lost_ring},
                                    {"decode", flow.malformed},
                                    {"table", counters.lost_slot},
                                    {"read", counters.lost_read},
                                    {"queue", flow.refused}}) {
    snapshot.lost[*metrics::place_of(metrics::kStages, stage)] = lost;
  }
  return {};
}

void MetricsSampler::add_host(metrics::Snapshot& snapshot) const {
  const HostWatch::Counts& counts = host_.counts();
  for (const auto& [result, count] : {std::pair<std::string_view, std::uint64_t>{"watched", counts.attached},
                                      {"brief", counts.brief},
                                      {"refused", counts.refused},
                                      {"unseen", counts.unseen}}) {
    snapshot.processes[*metrics::place_of(metrics::kProcesses, result)] = count;
  }
  for (const auto& [kind, count] : counts.errors) {
    snapshot.attach_errors[place_of(kind)] += count;
  }
  snapshot.watched = host_.watcher().targets();
  snapshot.refused = host_.refused().size();
  snapshot.attach = attach_;
}

metrics::OwnProcess MetricsSampler::own() const {
  metrics::OwnProcess out;
  out.cpu_s = proc::own_cpu_s();
  out.start_s = start_s_;
  if (const auto status = proc::ProcFs().status(static_cast<int>(::getpid()))) {
    out.rss_bytes = status->rss_bytes;
    out.threads = status->threads;
  }
  if (const auto statm = proc::read_file("/proc/self/statm")) {  // proc(5): its first number is pages of all
    out.virtual_bytes =
        std::strtoull(statm->c_str(), nullptr, 10) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  std::error_code error;
  for (std::filesystem::directory_iterator each("/proc/self/fd", error), end; !error && each != end;
       each.increment(error)) {
    ++out.open_fds;
  }
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out.max_fds = limit.rlim_cur;
  }
  return out;
}

Result<metrics::Snapshot> MetricsSampler::take() {
  metrics::Snapshot snapshot;
  snapshot.time_s = static_cast<double>(clock_.realtime_ns()) / 1e9;
  snapshot.version = MAPWATCH_VERSION;
  const Governor::Overview overview = host_.watcher().governor().overview();
  ledger_.tick(seconds(clock_.monotonic_ns()), processes(overview));
  snapshot.probes = by_probe(overview.armed);
  TRY(add_kernel_side(snapshot));
  ledger_.fill(snapshot);
  add_host(snapshot);
  snapshot.own = own();
  return snapshot;
}

std::string status_line(const metrics::Snapshot& snapshot) {
  std::uint64_t crashes = 0;
  std::uint64_t programs = 0;
  for (const metrics::Exe& exe : snapshot.exes) {
    crashes = std::accumulate(exe.crashes.begin(), exe.crashes.end(), crashes);
    programs += exe.processes > 0 ? 1 : 0;
  }
  const auto lost = [&](std::string_view stage) { return snapshot.lost[*metrics::place_of(metrics::kStages, stage)]; };
  return fmt::format("watching {} processes of {} programs, {} refused; {} hazards, {} crashes, {} events lost",
                     snapshot.watched, programs, snapshot.refused, snapshot.hazard_sites, crashes,
                     lost("ring") + lost("decode") + lost("queue") + lost("export"));
}

}  // namespace mapwatch::app
