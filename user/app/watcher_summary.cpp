#include <unistd.h>

#include "app/watcher.h"
#include "base/log.h"
#include "govern/odds.h"
#include "ingest/record_json.h"

namespace mapwatch::app {

report::SummaryReport Watcher::summary(const mw_counters& counters, std::uint64_t lost) {
  report::SummaryReport out;
  out.duration_ns = clock_.monotonic_ns() - started_ns_;
  out.hits = counters.hits;
  out.dwells = counters.dwells;
  out.hazards = publisher_.hazards();
  out.crashes = publisher_.crashes();
  out.lost = lost;
  const Governor::Totals totals = governor_->totals();
  out.sites = totals.sites;
  out.sites_armed = armed_at_end_;
  out.armed_share = totals.armed_share;
  out.ns_per_hit = self_test_.ns_per_hit[MW_SITE_NONE];
  const double target_s = static_cast<double>(cpu_.total_ticks()) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  out.target_cost = target_s > 0 ? totals.cost_ns / 1e9 / target_s : 0;
  out.own_cpu_s = proc::own_cpu_s();
  if (const auto own = proc::ProcFs().status(static_cast<int>(::getpid()))) {
    out.own_rss_bytes = own->rss_bytes;
  }
  out.suppressed = publisher_.suppressed();
  out.targets = odds_;
  return out;
}

void Watcher::note_odds(int pid, const Watched& watched, const Governor::Figures& figures) {
  std::vector<std::uint64_t> times;
  for (const auto& site : governor_->sites_of(static_cast<std::uint32_t>(pid), watched.policy)) {
    if (site.detection_ns) {
      times.push_back(*site.detection_ns);
    }
  }
  const govern::Odds odds = govern::sum_up(std::move(times));
  report::TargetSummary out;
  out.pid = static_cast<std::uint32_t>(pid);
  out.exe = watched.target.exe_path();
  out.mode = figures.status.mode;
  out.sites = figures.status.sites;
  out.by_calls = figures.by_calls;
  out.sites_always = figures.status.sites_always;
  out.sites_visited = figures.status.sites_visited;
  out.armed_share = figures.status.armed_share;
  out.seen_share = figures.status.seen_share;
  out.cost = figures.cost;
  out.budget = watched.options->budget;
  out.sites_used = odds.used;
  out.sites_never = odds.never;
  out.detect_half_ns = odds.half_ns;
  out.detect_most_ns = odds.most_ns;
  out.sharing = figures.sharing;
  out.decides = figures.status.decides;
  out.decides_cost = figures.status.cost_ppm / 1e6;
  odds_.push_back(std::move(out));
}

std::vector<Watcher::Shown> Watcher::shown() const {
  std::vector<Shown> out;
  for (const auto& [pid, watched] : targets_) {
    out.push_back({watched.target, *watched.arm, watched.policy, *watched.options});
  }
  return out;
}

std::uint64_t Watcher::lost(const mw_counters& counters) const {
  return counters.lost_ring + malformed_ + reports_.refused();  // what the writer lost is its thread's until the end
}

Watcher::Flow Watcher::flow() const {
  return {events_,
          malformed_,
          last_event_ns_,
          reports_.refused(),
          reports_.waiting(),
          ring_->size(),
          ring_->waiting(),
          live_symbols_.cache_bytes()};
}

void Watcher::finish() {
  if (finished_) {
    return;
  }
  finished_ = true;
  beforehand_.clear();
  cpu_.read_all();
  const Governor::Totals totals = governor_->totals();
  armed_at_end_ = totals.sites_armed;
  if (totals.crowded > 0) {
    log::warn("{} programs were watched by their map functions: their call sites were more than could be had at once",
              totals.crowded);
  }
  const auto figures = governor_->figures();
  for (const auto& [pid, watched] : targets_) {
    if (const auto of = figures.find(static_cast<std::uint32_t>(pid)); of != figures.end()) {
      note_odds(pid, watched, of->second);
    }
  }
  std::vector<int> pids;
  // Nothing the target pays for outlives this; one that is frozen at this moment is still known below.
  for (auto& [pid, watched] : targets_) {
    governor_->leave(static_cast<std::uint32_t>(pid));
    kernel_.drop_policy(static_cast<std::uint32_t>(pid));
    watched.probes.reset();
    pids.push_back(pid);
  }
  arms_->clear();
  if (ring_) {
    Turn rest;
    if (auto polled = poll_ring(rest); !polled) {
      log::print_error(polled.error());
    }
  }
  publish(correlator_.settle(UINT64_MAX));
  for (const int pid : pids) {
    retire(pid);
  }
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
