#include "app/alerting.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "alert/signature.h"
#include "app/alert_values.h"
#include "app/state_dir.h"
#include "app/watcher.h"

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
  if (form == alert::Form::kWebhook) {
    out.name = "webhook";
    out.url = options.webhook;
    out.secret_file = options.webhook_secret_file;
    return out;
  }
  out.name = "alertmanager";
  out.url = options.alertmanager;
  out.url.resize(out.url.find_last_not_of('/') + 1);
  out.url += kAlertsPath;
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

}  // namespace

Alerting::Alerting(report::Style style) : style_(std::move(style)), instance_(host_name()) {}

Result<std::unique_ptr<Alerting>> Alerting::start(const cli::Options& options, const Clock& clock) {
  report::Style style;
  style.strip_path_prefix = options.strip_path_prefix;
  std::unique_ptr<Alerting> out(new Alerting(std::move(style)));
  const auto send = [&](alert::Form form) -> Result<void> {
    alert::Receiver to = receiver(options, form);
    if (!to.secret_file.empty()) {
      if (const auto secret = alert::read_secret(to.secret_file); !secret) {
        return fail(ErrorKind::kUsage, "--webhook-secret-file: " + secret.error().message, secret.error().hint);
      }
    }
    const std::string store = state_dir(options) + "/" + to.name + ".db";
    out->senders_.push_back(TRY(alert::Sender::start(std::move(to), options.webhook_ca, store, clock)));
    return {};
  };
  if (!options.webhook.empty()) {
    TRY(send(alert::Form::kWebhook));
  }
  if (!options.alertmanager.empty()) {
    TRY(send(alert::Form::kAlertmanager));
  }
  if (!options.exec.empty()) {
    alert::CommandOptions command;
    command.command = options.exec;
    command.user = TRY(alert::credentials_for(options.exec_user));
    command.limit_ns = options.exec_timeout_ns;
    command.at_once = options.exec_max;
    out->commands_ = TRY(alert::Commands::start(std::move(command), clock));
  }
  if (wants_journal(options.journal)) {
    out->journal_ = std::make_unique<alert::Journal>();
  }
  return out;
}

void Alerting::follow(Watcher& watcher) {
  if (senders_.empty() && !commands_ && !journal_) {
    return;
  }
  watcher.observe([this](const auto& finding, report::Published outcome, const auto& report,
                         const report::ProcessInfo& process) { note(finding, outcome, report, process); });
}

void Alerting::note(const correlate::Finding& finding, report::Published outcome,
                    const std::optional<report::Report>& report, const report::ProcessInfo& process) {
  if (outcome == report::Published::kSuppressed || outcome == report::Published::kHeldBack) {
    return;
  }
  if (!senders_.empty()) {
    alert::Labels labels = labels_of(finding, process, instance_);
    if (!report) {
      const std::string of = alert::fingerprint(labels);
      std::ranges::for_each(senders_, [&](const auto& sender) { sender->touch(of); });
      return;
    }
    const alert::Sighting sighting{std::move(labels), annotations_of(*report, style_), wall_ns_of(*report)};
    std::ranges::for_each(senders_, [&](const auto& sender) { sender->tell(sighting); });
  }
  if (!report) {
    return;
  }
  if (commands_) {
    commands_->run(report::to_json(*report, style_));
  }
  if (journal_) {
    journal_->write(journal_fields(*report, style_));
  }
}

void Alerting::finish() {
  // All begin at once: what is slow in one does not wait for another.
  if (commands_) {
    commands_->ask_to_end();
  }
  std::ranges::for_each(senders_, [](const auto& sender) { sender->ask_to_end(); });
  std::ranges::for_each(senders_, [](const auto& sender) { sender->finish(); });
  if (commands_) {
    commands_->finish();
  }
  if (journal_) {
    journal_->finish();
  }
}

void Alerting::fill(metrics::Snapshot& snapshot) const {
  for (const auto& sender : senders_) {
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
