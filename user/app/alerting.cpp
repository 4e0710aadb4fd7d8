#include "app/alerting.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "alert/signature.h"
#include "app/alert_values.h"
#include "app/state_dir.h"
#include "app/watcher.h"
#include "cli/usage.h"

namespace mapwatch::app {

namespace {

constexpr const char* kAlertsPath = "/api/v2/alerts";  // Alertmanager's api/v2/openapi.yaml

std::string host_name() {
  utsname system = {};
  return ::uname(&system) == 0 ? system.nodename : "unknown";
}

alert::Receiver receiver(const cli::Options& options, alert::Form form) {
  alert::Receiver out;
  out.form = form;
  out.timing.wait_ns = options.alert_wait_ns;
  out.timing.interval_ns = options.alert_interval_ns;
  out.timing.repeat_ns = options.alert_repeat_ns;
  out.timing.resolve_ns = options.alert_resolve_ns;
  out.spool_bytes = options.alert_spool;
  out.ca_file = options.webhook_ca;
  if (form == alert::Form::kWebhook) {
    out.name = "webhook";
    out.url = options.webhook;
    out.secret_file = options.webhook_secret_file;
    return out;
  }
  out.name = "alertmanager";
  out.url = options.alertmanager;
  if (!out.url.empty()) {
    out.url.resize(out.url.find_last_not_of('/') + 1);
    out.url += kAlertsPath;
  }
  // What Alertmanager is told of is over there when it is not told again in time.
  out.timing.tell_resolved = false;
  out.timing.repeat_ns = options.alert_resolve_ns / 3;
  out.timing.interval_ns = std::min(options.alert_interval_ns, out.timing.repeat_ns);
  return out;
}

bool wants_journal(cli::When when) {
  return when == cli::When::kAlways ||
         (when == cli::When::kAuto && alert::is_journal_stream(STDERR_FILENO, std::getenv("JOURNAL_STREAM")));
}

/// What cannot be read now could not be used either.
Result<void> check_files(const alert::Receiver& to) {
  if (!to.secret_file.empty()) {
    if (const auto secret = alert::read_secret(to.secret_file); !secret) {
      return cli::flag_error("webhook-secret-file", secret.error());
    }
  }
  if (!to.ca_file.empty()) {
    if (const auto good = alert::check_ca_file(to.ca_file); !good) {
      return cli::flag_error("webhook-ca", good.error());
    }
  }
  return {};
}

}  // namespace

Alerting::Alerting(report::Style style, const Clock& clock)
    : style_(std::move(style)), clock_(clock), instance_(host_name()) {}

Result<std::unique_ptr<Alerting>> Alerting::start(const cli::Options& options, const Clock& clock) {
  report::Style style;
  style.strip_path_prefix = options.strip_path_prefix;
  std::unique_ptr<Alerting> out(new Alerting(std::move(style), clock));
  out->take(TRY(out->prepare(options)));
  return out;
}

Result<Alerting::Change> Alerting::prepare(const cli::Options& options) const {
  Change change;
  for (std::size_t i = 0; i < kForms.size(); ++i) {
    const alert::Receiver& to = change.receivers[i] = receiver(options, kForms[i]);
    if (to.url.empty()) {
      continue;
    }
    TRY(check_files(to));
    if (!senders_[i]) {
      alert::Receiver silent = to;
      silent.url.clear();
      const std::string store = state_dir(options) + "/" + to.name + ".db";
      change.senders[i] = TRY(alert::Sender::start(std::move(silent), store, clock_));
    }
  }
  if (!options.exec.empty()) {
    change.command.emplace();
    change.command->command = options.exec;
    auto user = alert::credentials_for(options.exec_user);
    if (!user) {
      return cli::flag_error("exec-user", user.error());
    }
    change.command->user = std::move(*user);
    change.command->limit_ns = options.exec_timeout_ns;
    change.command->at_once = options.exec_max;
    change.commands = commands_ ? nullptr : TRY(alert::Commands::start(*change.command, clock_));
  }
  change.journal = wants_journal(options.journal);
  return change;
}

void Alerting::take(Change change) {
  Told next;
  for (std::size_t i = 0; i < kForms.size(); ++i) {
    if (change.senders[i]) {
      senders_[i] = std::move(change.senders[i]);
    }
    if (!change.receivers[i].url.empty()) {
      next.senders.push_back(senders_[i].get());
    }
    if (senders_[i]) {
      senders_[i]->change(std::move(change.receivers[i]));
    }
  }
  if (change.command) {
    if (change.commands) {
      commands_ = std::move(change.commands);
    } else {
      commands_->change(std::move(*change.command));
    }
    next.commands = commands_.get();
  }
  if (change.journal) {
    journal_ = journal_ ? std::move(journal_) : std::make_unique<alert::Journal>();
    next.journal = journal_.get();
  }
  const std::lock_guard lock(mutex_);
  told_ = std::move(next);
}

Alerting::Told Alerting::told() const {
  const std::lock_guard lock(mutex_);
  return told_;
}

void Alerting::follow(Watcher& watcher) {
  watcher.observe([this](const auto& finding, report::Published outcome, const auto& report,
                         const report::ProcessInfo& process) { note(finding, outcome, report, process); });
}

void Alerting::note(const correlate::Finding& finding, report::Published outcome,
                    const std::optional<report::Report>& report, const report::ProcessInfo& process) {
  const Told to = told();
  if (to.nobody() || outcome == report::Published::kSuppressed || outcome == report::Published::kHeldBack) {
    return;
  }
  if (!to.senders.empty()) {
    alert::Labels labels = labels_of(finding, process, instance_);
    if (!report) {
      const std::string of = alert::fingerprint(labels);
      std::ranges::for_each(to.senders, [&](alert::Sender* sender) { sender->touch(of); });
      return;
    }
    const alert::Sighting sighting{std::move(labels), annotations_of(*report, style_), wall_ns_of(*report)};
    std::ranges::for_each(to.senders, [&](alert::Sender* sender) { sender->tell(sighting); });
  }
  if (!report) {
    return;
  }
  if (to.commands != nullptr) {
    to.commands->run(report::to_json(*report, style_));
  }
  if (to.journal != nullptr) {
    to.journal->write(journal_fields(*report, style_));
  }
}

void Alerting::finish() {
  // All begin at once: what is slow in one does not wait for another.
  const auto each_sender = [this](void (alert::Sender::*what)()) {
    for (const auto& sender : senders_) {
      if (sender) {
        (*sender.*what)();
      }
    }
  };
  if (commands_) {
    commands_->ask_to_end();
  }
  each_sender(&alert::Sender::ask_to_end);
  each_sender(&alert::Sender::finish);
  if (commands_) {
    commands_->finish();
  }
  if (journal_) {
    journal_->finish();
  }
}

void Alerting::fill(metrics::Snapshot& snapshot) const {
  for (const auto& sender : senders_) {
    if (!sender) {
      continue;
    }
    const alert::Dispatcher::Counts counts = sender->counts();
    metrics::Sends& to = snapshot.sends[*metrics::place_of(metrics::kReceivers, sender->name())];
    to = {{counts.delivered, counts.failed, counts.refused},
          counts.waiting,
          counts.waiting_bytes,
          counts.dropped,
          counts.unkept};
  }
  if (commands_) {
    const alert::Commands::Counts counts = commands_->counts();
    snapshot.commands = {counts.ok, counts.failed, counts.timeout, counts.not_started, counts.dropped};
  }
  if (journal_) {
    const alert::Journal::Counts counts = journal_->counts();
    snapshot.entries = {counts.written, counts.failed};
  }
}

}  // namespace mapwatch::app
