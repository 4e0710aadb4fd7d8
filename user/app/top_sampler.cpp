#include "app/top_sampler.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "base/rfc3339.h"
#include "report/format.h"

namespace mapwatch::app {

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
/// A process that crashed is shown for so long.
constexpr std::uint64_t kRememberNs = 600 * kSecond;
constexpr std::size_t kMostCrashed = 64;
/// TASK_COMM_LEN without the NUL (include/linux/sched.h).
constexpr std::size_t kCommLength = 15;
/// What is seen of the operations is told as all of them from here on.
constexpr double kAllSeen = 0.999;

std::string time_of_day(std::int64_t wall_ns) {
  const std::string text = rfc3339(wall_ns);  // YYYY-MM-DDTHH:MM:SS.
  return text.substr(11, 8) + "Z";
}

std::string place_word(govern::SiteState::Place place) {
  using Place = govern::SiteState::Place;
  switch (place) {
    case Place::kAlways:
      return "always";
    case Place::kVisited:
      return "visited";
    case Place::kWaiting:
      return "waiting";
    case Place::kRefused:
      break;
  }
  return "refused";
}

/// "1.26.8", with "?" in front when newer than the table.
std::string go_version(const std::string& go) {
  constexpr std::string_view kUnverified = "unverified ";
  const bool known = !go.starts_with(kUnverified);
  const std::string_view text = std::string_view(go).substr(known ? 0 : kUnverified.size());
  return (known ? "" : "?") + std::string(text.starts_with("go") ? text.substr(2) : text);
}

}  // namespace

TopSampler::TopSampler(const HostWatch& host, Found& found, const Clock& clock, const cli::Options& options)
    : host_(host),
      found_(found),
      clock_(clock),
      procfs_(options.procfs),
      started_ns_(clock.monotonic_ns()),
      last_ns_(started_ns_) {
  utsname system = {};
  if (::uname(&system) == 0) {
    facts_.name = system.nodename;
    facts_.kernel = system.release;
  }
  facts_.version = MAPWATCH_VERSION;
  facts_.attach = host.watcher().link_kind() == attach::LinkKind::kMulti ? "uprobe_multi" : "perf_event";
  last_own_cpu_s_ = proc::own_cpu_s();
}

Result<tui::Snapshot> TopSampler::take(std::optional<int> opened) {
  const std::uint64_t now = clock_.monotonic_ns();
  const double seconds = static_cast<double>(std::max<std::uint64_t>(now - last_ns_, 1)) / kSecond;
  counts_ = TRY(host_.watcher().target_counters());
  if (opened != opened_) {
    opened_ = opened;
    names_.clear();
    site_hits_.clear();
  }
  tui::Snapshot snapshot;
  show_watched(snapshot, opened, seconds);
  show_ended(snapshot);
  show_refused(snapshot);
  show_host(snapshot, seconds);
  last_ns_ = now;
  return snapshot;
}

void TopSampler::show_watched(tui::Snapshot& snapshot, std::optional<int> opened, double seconds) {
  const auto figures = host_.watcher().governor().figures();
  std::map<int, Before> seen;
  double cpu = 0;
  double cost = 0;
  std::map<const Arm*, std::uint64_t> armed;
  for (const Watcher::Shown& shown : host_.watcher().shown()) {
    const int pid = shown.target.pid();
    const auto tgid = static_cast<std::uint32_t>(pid);
    const auto of = figures.find(tgid);
    if (of == figures.end()) {
      continue;
    }
    const Governor::Figures& now = of->second;
    const auto known = before_.find(pid);
    const bool same = known != before_.end() && known->second.start_time == shown.target.start_time();
    const auto gone = gone_.find(pid);
    if ((known != before_.end() && !same) ||
        (gone != gone_.end() && gone->second.start_time != shown.target.start_time())) {
      found_.forget(tgid);  // another process has this number now
    }
    gone_.erase(pid);
    Before next;
    next.start_time = shown.target.start_time();
    const auto counted = counts_.find(tgid);
    next.hits = counted != counts_.end() ? counted->second.hits : same ? known->second.hits : 0;
    next.cpu_ns = now.cpu_ns;

    tui::Target row;
    row.pid = pid;
    row.comm = shown.target.comm();
    row.exe = shown.target.exe_path();
    row.go = go_version(shown.arm.program()->go());
    row.mode = now.status.mode;
    row.state = "ok";
    row.watched = true;
    row.hits = next.hits;
    const std::uint64_t hits_before = same ? std::min(known->second.hits, next.hits) : 0;
    row.hits_per_s = static_cast<double>(next.hits - hits_before) / seconds;
    row.seen_share = now.status.seen_share;
    row.estimated = row.seen_share < kAllSeen;
    if (now.sharing == 1) {
      row.ops_per_s = row.estimated ? now.ops_per_s : row.hits_per_s;
      row.writes_per_s = now.writes_per_s;
    } else if (!row.estimated) {
      row.ops_per_s = row.hits_per_s;
    }
    row.cost_share = now.cost;
    row.budget = shown.options.budget;
    row.armed_share = now.status.armed_share;
    row.sites = now.status.sites;
    row.by_calls = now.by_calls;
    row.sharing = now.sharing;
    row.decides = static_cast<int>(now.status.decides);
    row.decides_cost = now.status.cost_ppm / 1e6;
    row.age_ns = proc::age_ns(shown.target.start_time(), clock_.boottime_ns());
    found_.fill(row, clock_.monotonic_ns());
    next.row = row;
    if (opened == pid) {
      row.places = sites_of(shown, seconds);
    }
    const double used = same ? static_cast<double>(next.cpu_ns - std::min(known->second.cpu_ns, next.cpu_ns)) : 0;
    cpu += used;
    cost += used * now.cost;
    auto& most = armed[&shown.arm];  // links of one process each add up; those of a file are the same for all
    most = shown.arm.wide() ? std::max(most, now.armed) : most + now.armed;
    snapshot.targets.push_back(std::move(row));
    seen.emplace(pid, std::move(next));
  }
  for (auto& [pid, gone] : before_) {
    if (seen.contains(pid)) {
      continue;
    }
    gone.row.watched = false;
    gone_.insert_or_assign(pid, std::move(gone));
  }
  before_ = std::move(seen);
  snapshot.host = facts_;
  snapshot.host.watched = before_.size();
  snapshot.host.cost_share = cpu > 0 ? cost / cpu : 0;
  for (const auto& [arm, probes] : armed) {
    snapshot.host.probes += probes;
  }
}

void TopSampler::show_ended(tui::Snapshot& snapshot) {
  const std::uint64_t now = clock_.monotonic_ns();
  std::size_t shown = 0;
  for (const report::ProcessInfo& process : found_.crashed()) {
    const auto pid = static_cast<int>(process.pid);
    if (before_.contains(pid) || shown == kMostCrashed) {
      continue;
    }
    tui::Target row;
    if (const auto gone = gone_.find(pid); gone != gone_.end()) {
      row = gone->second.row;
    } else {  // it lived for less than the time between two looks
      row.pid = pid;
      row.comm = process.exe.substr(process.exe.rfind('/') + 1).substr(0, kCommLength);
      row.exe = process.exe;
      row.go = go_version(process.go);
    }
    found_.fill(row, now);
    if (row.last_ns.value_or(0) <= kRememberNs) {
      snapshot.targets.push_back(std::move(row));
      ++shown;
    }
  }
  while (gone_.size() > Found::kMostProcesses) {
    gone_.erase(gone_.begin());
  }
}

void TopSampler::show_refused(tui::Snapshot& snapshot) const {
  for (const auto& [pid, refused] : host_.refused()) {
    tui::Target row;
    row.pid = pid;
    row.comm = refused.comm;
    row.state = refused.reason;
    row.age_ns = proc::age_ns(refused.start_time, clock_.boottime_ns());
    snapshot.targets.push_back(std::move(row));
  }
}

void TopSampler::show_host(tui::Snapshot& snapshot, double seconds) {
  tui::Host& host = snapshot.host;
  host.clock = time_of_day(clock_.realtime_ns());
  host.up_ns = clock_.monotonic_ns() - started_ns_;
  host.found = host.watched + host_.refused().size();
  if (const auto counters = host_.watcher().counters()) {
    host.hits_per_s = static_cast<double>(counters->hits - std::min(last_hits_, counters->hits)) / seconds;
    host.lost = host_.watcher().lost(*counters);
    last_hits_ = counters->hits;
  }
  const double cpu = proc::own_cpu_s();
  host.own_cpu = (cpu - last_own_cpu_s_) / seconds;
  last_own_cpu_s_ = cpu;
  if (const auto own = proc::ProcFs().status(static_cast<int>(::getpid()))) {
    host.own_rss_bytes = own->rss_bytes;
  }
}

std::vector<tui::Site> TopSampler::sites_of(const Watcher::Shown& shown, double seconds) {
  std::vector<tui::Site> out;
  std::map<std::uint64_t, std::uint64_t> hits;
  const auto tgid = static_cast<std::uint32_t>(shown.target.pid());
  const auto binary = shown.arm.program()->get();
  for (const Governor::SiteFigures& figures : host_.watcher().governor().sites_of(tgid, shown.policy)) {
    const std::uint64_t address = figures.probe->address;
    auto name = names_.find(address);
    if (name == names_.end()) {
      tui::Site fresh;
      const auto frames = binary ? binary->frames(address) : std::vector<elf::SourceFrame>();
      if (!frames.empty()) {
        fresh.function = frames.front().func;
        fresh.file = frames.front().file;
        fresh.line = frames.front().line;
      }
      name = names_.emplace(address, std::move(fresh)).first;
    }
    tui::Site site = name->second;
    site.op = report::op_word(figures.probe->op);
    site.place = place_word(figures.state.place);
    site.hits = figures.hits;
    const auto last = site_hits_.find(address);
    const std::uint64_t was = last == site_hits_.end() ? figures.hits : std::min(last->second, figures.hits);
    site.hits_per_s = static_cast<double>(figures.hits - was) / seconds;
    site.ops_per_s = figures.state.hits_per_s;
    site.armed_share = figures.state.armed_share;
    site.cost_share = figures.state.cost_ppm / 1e6;
    site.detect_ns = figures.detection_ns;
    hits.emplace(address, figures.hits);
    out.push_back(std::move(site));
  }
  site_hits_ = std::move(hits);
  return out;
}

}  // namespace mapwatch::app
