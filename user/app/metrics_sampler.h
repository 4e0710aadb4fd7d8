// Looks at a HostWatch and tells what the metrics say.
#pragma once

#include <string>

#include "app/host_watch.h"
#include "base/clock.h"
#include "metrics/ledger.h"
#include "metrics/snapshot.h"

namespace mapwatch::app {

class MetricsSampler {
 public:
  /// `host` must not have started; both must outlive it, and it what `host` tells of findings.
  MetricsSampler(HostWatch& host, const Clock& clock);

  /// Time is counted since the last call.
  Result<metrics::Snapshot> take();

 private:
  void note(const correlate::Finding& finding, report::Published outcome, const std::optional<report::Report>& report,
            const report::ProcessInfo& process);
  std::vector<metrics::Process> processes(const Governor::Overview& overview) const;
  Result<void> add_kernel_side(metrics::Snapshot& snapshot) const;
  void add_host(metrics::Snapshot& snapshot) const;
  metrics::OwnProcess own() const;

  HostWatch& host_;
  const Clock& clock_;
  metrics::Ledger ledger_;
  metrics::Histogram attach_;
  double start_s_ = 0;  ///< of mapwatch, since 1970
};

/// "watching 12 processes of 7 programs, 3 refused; 57 hazards, 2 crashes, 0 events lost": for a service manager.
std::string status_line(const metrics::Snapshot& snapshot);

}  // namespace mapwatch::app
