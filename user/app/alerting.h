// Tells others of findings, as the options ask: webhook, Alertmanager, --exec, the journal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alert/commands.h"
#include "alert/journal.h"
#include "alert/sender.h"
#include "base/clock.h"
#include "cli/options.h"
#include "correlate/correlator.h"
#include "metrics/snapshot.h"
#include "report/publisher.h"

namespace mapwatch::app {

class Watcher;

class Alerting {
 public:
  /// Starts what the options ask for; that may be nothing. kUsage: a secret that cannot be read, a user that is not
  /// there. `clock` must outlive it.
  static Result<std::unique_ptr<Alerting>> start(const cli::Options& options, const Clock& clock);

  /// What `watcher` finds from now on is told. It must go before this.
  void follow(Watcher& watcher);
  /// After the last finding: what is on its way is kept, or comes to its end; some seconds at most.
  void finish();
  void fill(metrics::Snapshot& snapshot) const;

 private:
  explicit Alerting(report::Style style);
  void note(const correlate::Finding& finding, report::Published outcome, const std::optional<report::Report>& report,
            const report::ProcessInfo& process);

  report::Style style_;
  std::string instance_;
  std::vector<std::unique_ptr<alert::Sender>> senders_;
  std::unique_ptr<alert::Commands> commands_;
  std::unique_ptr<alert::Journal> journal_;
};

}  // namespace mapwatch::app
