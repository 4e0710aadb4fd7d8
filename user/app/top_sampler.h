// Looks at a HostWatch and tells what top shows: counters of the kernel side become rates, sites get names.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "app/found.h"
#include "app/host_watch.h"
#include "base/clock.h"
#include "tui/snapshot.h"

namespace mapwatch::app {

class TopSampler {
 public:
  /// All must outlive it.
  TopSampler(const HostWatch& host, Found& found, const Clock& clock, const cli::Options& options);

  /// Rates are of the time since the last call. `opened`: the process whose sites are wanted, too.
  Result<tui::Snapshot> take(std::optional<int> opened);

 private:
  struct Before {
    std::uint64_t start_time = 0;
    std::uint64_t hits = 0;
    std::uint64_t cpu_ns = 0;
    tui::Target row;
  };
  void show_watched(tui::Snapshot& snapshot, std::optional<int> opened, double seconds);
  void show_host(tui::Snapshot& snapshot, double seconds);
  void show_ended(tui::Snapshot& snapshot);
  void show_refused(tui::Snapshot& snapshot) const;
  std::vector<tui::Site> sites_of(const Watcher::Shown& shown, double seconds);

  const HostWatch& host_;
  Found& found_;
  const Clock& clock_;
  const proc::ProcFs procfs_;
  const std::uint64_t started_ns_;
  tui::Host facts_;  ///< what does not change
  std::uint64_t last_ns_;
  std::uint64_t last_hits_ = 0;
  double last_own_cpu_s_ = 0;
  std::unordered_map<std::uint32_t, mw_target_counts> counts_;
  std::map<int, Before> before_;
  std::map<int, Before> gone_;  ///< as last seen: the report of a crash may come later
  // Of the opened process.
  std::optional<int> opened_;
  std::map<std::uint64_t, tui::Site> names_;          ///< by address: function, file, line
  std::map<std::uint64_t, std::uint64_t> site_hits_;  ///< by address, at the last call
};

}  // namespace mapwatch::app
