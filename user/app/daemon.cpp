#include "app/daemon.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "app/alerting.h"
#include "app/event_loop.h"
#include "app/history_writer.h"
#include "app/host_watch.h"
#include "app/metrics_sampler.h"
#include "app/state_dir.h"
#include "base/listen_address.h"
#include "base/log.h"
#include "base/work_thread.h"
#include "cli/reload.h"
#include "cli/usage.h"
#include "metrics/text.h"
#include "ops/exporter.h"
#include "ops/supervisor.h"

namespace mapwatch::app {

namespace {

constexpr std::uint64_t kStaleNs = 30'000'000'000;

bool is_reload(const signalfd_siginfo& signal) { return signal.ssi_signo == SIGHUP; }

class Daemon {
 public:
  static Result<int> run(const cli::Options& options) {
    Daemon daemon(options);
    TRY(daemon.start());
    const auto done = daemon.loop();
    daemon.end();
    TRY(done);
    return daemon.host_->exit_status();
  }

 private:
  explicit Daemon(const cli::Options& options)
      : options_(options), supervisor_(clock_), history_(state_dir(options) + "/" + ops::History::kFileName) {}

  Result<void> start() {
    loop_.emplace(TRY(EventLoop::create({SIGINT, SIGTERM, SIGHUP})));
    TRY(check_state_dir(options_));
    alerting_ = TRY(Alerting::start(options_, clock_));
    ops::Access access = TRY(access_of(options_));
    exporter_ = TRY(serve(options_, std::move(access)));
    host_ = TRY(HostWatch::create(options_, STDOUT_FILENO, clock_, *loop_));
    sampler_.emplace(*host_, clock_);
    alerting_->follow(host_->watcher());
    loaded_s_ = now_s();
    TRY(host_->start());
    TRY(sample());
    if (exporter_) {
      exporter_->set_ready(true);
    }
    supervisor_.ready(status_);
    return {};
  }

  static Result<ops::Access> access_of(const cli::Options& options) {
    auto access = ops::read_access(options.web_config_file);
    if (!access) {
      return cli::flag_error("web-config-file", access.error());
    }
    return access;
  }

  /// Null where nobody is to be told.
  Result<std::unique_ptr<ops::Exporter>> serve(const cli::Options& options, ops::Access access) const {
    if (options.metrics_listen.empty()) {
      return nullptr;
    }
    ops::Exporter::Limits limits;
    limits.stale_ns = std::max(kStaleNs, 3 * options.interval_ns);
    const ListenAddress address = TRY(parse_listen_address(options.metrics_listen));
    auto exporter = TRY(ops::Exporter::start(address, clock_, std::move(access), limits));
    log::info("metrics at {}/metrics", exporter->url());
    return exporter;
  }

  Result<void> load_anew() {
    const cli::Parsed parsed = TRY(cli::parse(options_.given, options_.given_environment));
    for (const std::string& warning : parsed.warnings) {
      log::warn("{}", warning);
    }
    cli::Options next = options_;
    const std::vector<std::string> waits = cli::take_over(next, parsed.options);
    const bool elsewhere = next.metrics_listen != options_.metrics_listen;
    ops::Access access = TRY(access_of(next));
    if (exporter_ && !elsewhere) {
      TRY(exporter_->may_use(access));
    }
    auto exporter = elsewhere ? TRY(serve(next, access)) : nullptr;
    auto alerts = TRY(alerting_->prepare(next));
    TRY(host_->reload(next));
    alerting_->take(std::move(alerts));
    if (elsewhere) {
      exporter_ = std::move(exporter);
    } else if (exporter_) {
      exporter_->use(std::move(access));
    }
    options_ = std::move(next);
    for (const std::string& flag : waits) {
      log::warn("{}: the new value holds from the next start on", flag);
    }
    return {};
  }

  /// What is wrong with the new configuration leaves the old one in force.
  Result<void> reload() {
    supervisor_.reloading();
    const auto done = load_anew();
    reload_good_ = done.has_value();
    ++(reload_good_ ? reloads_good_ : reloads_bad_);
    if (done) {
      loaded_s_ = now_s();
      log::info("the configuration was loaded anew");
    } else {
      log::print_error(
          {done.error().kind, "the configuration stays as it was: " + done.error().message, done.error().hint});
    }
    TRY(sample());
    if (exporter_) {
      exporter_->set_ready(true);
    }
    supervisor_.ready(status_);
    return {};
  }

  double now_s() const { return static_cast<double>(clock_.realtime_ns()) / 1e9; }

  Result<void> sample(bool last = false) {
    sampled_ns_ = clock_.monotonic_ns();
    metrics::Snapshot snapshot = TRY(sampler_->take());
    alerting_->fill(snapshot);
    snapshot.reload_s = loaded_s_;
    snapshot.reload_good = reload_good_;
    snapshot.reloads_good = reloads_good_;
    snapshot.reloads_bad = reloads_bad_;
    status_ = status_line(snapshot);
    keep(snapshot, last);
    if (exporter_) {
      exporter_->publish(TRY(metrics::to_text(snapshot)));
    }
    return {};
  }

  /// By a thread of its own: a disk that hangs must not hold up the loop. What it does not get to is in the next row.
  void keep(const metrics::Snapshot& snapshot, bool last) {
    if (last || history_thread_.waiting() == 0) {
      history_thread_.post([this, snapshot, last] { history_.take(snapshot, last); });
    }
    if (last) {
      history_thread_.drain();
    }
  }

  Result<void> loop() {
    for (bool stop = false; !stop && !host_->over();) {
      const std::uint64_t now = clock_.monotonic_ns();
      const std::uint64_t due = sampled_ns_ + options_.interval_ns;
      const std::uint64_t left = due > now ? (due - now) / 1'000'000 + 1 : 0;
      const auto most = static_cast<std::uint64_t>(host_->timeout_ms());
      const EventLoop::Woken woken = TRY(loop_->wait(static_cast<int>(std::min(left, most))));
      const bool anew = std::ranges::any_of(woken.signals, is_reload);
      stop = !std::ranges::all_of(woken.signals, is_reload);
      TRY(host_->turn());
      if (anew && !stop) {
        TRY(reload());
      }
      supervisor_.alive();
      if (clock_.monotonic_ns() >= due) {
        TRY(sample());
        supervisor_.status(status_);
      }
    }
    return {};
  }

  void end() {
    supervisor_.stopping();
    if (exporter_) {
      exporter_->set_ready(false);
    }
    if (const auto last = sample(true); !last) {
      log::print_error(last.error());
    }
    host_->finish();
    alerting_->finish();
  }

  cli::Options options_;
  const SystemClock clock_;
  ops::Supervisor supervisor_;
  std::optional<EventLoop> loop_;
  std::unique_ptr<ops::Exporter> exporter_;
  HistoryWriter history_;
  WorkThread history_thread_;              // alone with the history
  std::optional<MetricsSampler> sampler_;  // outlives what tells it of findings
  std::unique_ptr<Alerting> alerting_;     // likewise
  std::unique_ptr<HostWatch> host_;
  std::uint64_t sampled_ns_ = 0;
  double loaded_s_ = 0;
  bool reload_good_ = true;
  std::uint64_t reloads_good_ = 0;
  std::uint64_t reloads_bad_ = 0;
  std::string status_;
};

}  // namespace

int run_daemon(const cli::Options& options) {
  const auto status = Daemon::run(options);
  if (!status) {
    log::print_error(status.error());
    return log::exit_status(status.error().kind);
  }
  return *status;
}

}  // namespace mapwatch::app
