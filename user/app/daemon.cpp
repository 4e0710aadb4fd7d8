#include "app/daemon.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "app/event_loop.h"
#include "app/host_watch.h"
#include "app/metrics_sampler.h"
#include "base/listen_address.h"
#include "base/log.h"
#include "metrics/text.h"
#include "ops/exporter.h"
#include "ops/supervisor.h"

namespace mapwatch::app {

namespace {

constexpr std::uint64_t kStaleNs = 30'000'000'000;

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
  explicit Daemon(const cli::Options& options) : options_(options), supervisor_(clock_) {}

  Result<void> start() {
    loop_.emplace(TRY(EventLoop::create({SIGINT, SIGTERM, SIGHUP})));
    TRY(serve());
    host_ = TRY(HostWatch::create(options_, STDOUT_FILENO, clock_, *loop_));
    sampler_.emplace(*host_, clock_);
    loaded_s_ = static_cast<double>(clock_.realtime_ns()) / 1e9;
    TRY(host_->start());
    TRY(sample());
    if (exporter_) {
      exporter_->set_ready(true);
    }
    supervisor_.ready(status_);
    return {};
  }

  Result<void> serve() {
    if (options_.metrics_listen.empty()) {
      return {};
    }
    ops::Exporter::Limits limits;
    limits.stale_ns = std::max(kStaleNs, 3 * options_.interval_ns);
    const ListenAddress address = TRY(parse_listen_address(options_.metrics_listen));
    exporter_ = TRY(ops::Exporter::start(address, clock_, limits));
    log::info("metrics at {}/metrics", exporter_->url());
    return {};
  }

  Result<void> sample() {
    sampled_ns_ = clock_.monotonic_ns();
    metrics::Snapshot snapshot = TRY(sampler_->take());
    snapshot.reload_s = loaded_s_;
    status_ = status_line(snapshot);
    if (exporter_) {
      exporter_->publish(TRY(metrics::to_text(snapshot)));
    }
    return {};
  }

  Result<void> loop() {
    for (bool stop = false; !stop && !host_->over();) {
      const std::uint64_t now = clock_.monotonic_ns();
      const std::uint64_t due = sampled_ns_ + options_.interval_ns;
      const std::uint64_t left = due > now ? (due - now) / 1'000'000 + 1 : 0;
      const auto most = static_cast<std::uint64_t>(host_->timeout_ms());
      const EventLoop::Woken woken = TRY(loop_->wait(static_cast<int>(std::min(left, most))));
      stop = !woken.signals.empty();
      TRY(host_->turn());
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
    host_->finish();
  }

  const cli::Options options_;
  const SystemClock clock_;
  ops::Supervisor supervisor_;
  std::optional<EventLoop> loop_;
  std::unique_ptr<ops::Exporter> exporter_;
  std::optional<MetricsSampler> sampler_;  // outlives what tells it of findings
  std::unique_ptr<HostWatch> host_;
  std::uint64_t sampled_ns_ = 0;
  double loaded_s_ = 0;
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
