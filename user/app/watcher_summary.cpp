#include <unistd.h>

#include <ctime>

#include "app/watcher.h"

namespace mapwatch::app {

report::SummaryReport Watcher::summary(const mw_counters& counters, std::uint64_t lost) {
  report::SummaryReport out;
  out.duration_ns = clock_.monotonic_ns() - started_ns_;
  out.hits = counters.hits;
  out.dwells = counters.dwells;
  out.hazards = publisher_.hazards();
  out.crashes = publisher_.crashes();
  out.lost = lost;
  out.sites = sites_;
  out.sites_armed = sites_;
  out.armed_share = sites_ > 0 ? 1.0 : 0.0;
  out.ns_per_hit = self_test_.ns_per_hit;
  const double target_s = static_cast<double>(target_cpu_ticks_) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  const double cost_s = (static_cast<double>(counters.hits) * self_test_.ns_per_hit +
                         static_cast<double>(counters.dwell_ns + counters.hold_ns)) /
                        1e9;
  out.target_cost = target_s > 0 ? cost_s / target_s : 0;
  out.own_cpu_s = static_cast<double>(::clock()) / CLOCKS_PER_SEC;
  if (const auto own = proc::ProcFs().status(static_cast<int>(::getpid()))) {
    out.own_rss_bytes = own->rss_bytes;
  }
  out.suppressed = publisher_.suppressed();
  return out;
}

}  // namespace mapwatch::app
