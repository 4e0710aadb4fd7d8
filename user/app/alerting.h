// Tells others of findings, as the options ask: webhook, Alertmanager, --exec, the journal.
#pragma once

#include <array>
#include <memory>
#include <mutex>
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
  static constexpr std::array kForms = {alert::Form::kWebhook, alert::Form::kAlertmanager};

  /// Starts what the options ask for; that may be nothing. kUsage: a secret or certificate that cannot be read, a user
  /// that is not there. `clock` must outlive it.
  static Result<std::unique_ptr<Alerting>> start(const cli::Options& options, const Clock& clock);

  /// What other options ask for, found good; what is in it and not taken has told nobody anything.
  struct Change {
    std::array<alert::Receiver, kForms.size()> receivers;               ///< of each form; without URL: not asked for
    std::array<std::unique_ptr<alert::Sender>, kForms.size()> senders;  ///< where there was none yet
    std::optional<alert::CommandOptions> command;
    std::unique_ptr<alert::Commands> commands;  ///< likewise
    bool journal = false;
  };
  /// Errors as of start(). Nothing changes yet.
  Result<Change> prepare(const cli::Options& options) const;
  /// From now on it is so. What is on its way stays so: a receiver that is no longer asked for is told nothing more,
  /// and what waits for it is kept until it is asked for again. Waits for nobody.
  void take(Change change);

  /// What `watcher` finds from now on is told. It must go before this.
  void follow(Watcher& watcher);
  /// After the last finding: what is on its way is kept, or comes to its end; some seconds at most.
  void finish();
  void fill(metrics::Snapshot& snapshot) const;

 private:
  Alerting(report::Style style, const Clock& clock);
  void note(const correlate::Finding& finding, report::Published outcome, const std::optional<report::Report>& report,
            const report::ProcessInfo& process);

  /// Who is told of what is found now.
  struct Told {
    std::vector<alert::Sender*> senders;
    alert::Commands* commands = nullptr;
    alert::Journal* journal = nullptr;
    bool nobody() const { return senders.empty() && commands == nullptr && journal == nullptr; }
  };
  Told told() const;

  report::Style style_;
  const Clock& clock_;
  std::string instance_;
  // Whoever was asked for once stays until the end: null are those that never were.
  std::array<std::unique_ptr<alert::Sender>, kForms.size()> senders_;
  std::unique_ptr<alert::Commands> commands_;
  std::unique_ptr<alert::Journal> journal_;
  mutable std::mutex mutex_;  ///< of told_: findings come from another thread than changes
  Told told_;
};

}  // namespace mapwatch::app
