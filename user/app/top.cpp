#include "app/top.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "app/event_loop.h"
#include "app/found.h"
#include "app/held_stderr.h"
#include "app/host_watch.h"
#include "app/output.h"
#include "app/top_sampler.h"
#include "base/log.h"
#include "base/write_all.h"
#include "tui/render.h"
#include "tui/screen.h"

namespace mapwatch::app {

namespace {

/// Where the table goes.
class Display {
 public:
  virtual ~Display() = default;
  /// A snapshot is due.
  virtual Result<void> show(tui::Snapshot snapshot) = 0;
  /// What the loop was woken for, between snapshots. True: the user wants to end.
  virtual bool attend(const EventLoop::Woken&) { return false; }
  virtual std::optional<int> opened() const { return std::nullopt; }
  virtual std::uint64_t interval_ns() const = 0;
};

/// Tables or JSON, one after the other, on stdout.
class Lines final : public Display {
 public:
  explicit Lines(const cli::Options& options) : options_(options) {}

  Result<void> show(tui::Snapshot snapshot) override {
    const bool json = options_.output == cli::Output::kJson;
    const std::string text = json ? tui::json_lines(snapshot) : plain_table(snapshot) + (options_.once ? "" : "\n");
    return write_all(STDOUT_FILENO, text, "stdout");
  }
  bool attend(const EventLoop::Woken&) override {
    pollfd reader = {STDOUT_FILENO, 0, 0};
    return ::poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR) != 0;  // it has closed the pipe
  }
  /// Where one process was asked for, JSON tells of its sites.
  std::optional<int> opened() const override {
    const bool one = options_.output == cli::Output::kJson && options_.pids.size() == 1;
    return one ? std::optional(options_.pids.front()) : std::nullopt;
  }
  std::uint64_t interval_ns() const override { return options_.interval_ns; }

 private:
  const cli::Options& options_;
};

class Live final : public Display {
 public:
  static Result<std::unique_ptr<Live>> open(const cli::Options& options) {
    HeldStderr held = TRY(HeldStderr::hold());
    auto screen = TRY(tui::Screen::open(want_color(options.color, true, environment)));
    return std::unique_ptr<Live>(new Live(std::move(held), std::move(screen), options.interval_ns));
  }

  Result<void> show(tui::Snapshot snapshot) override {
    view_.update(std::move(snapshot));
    if (std::string line = held_.last_line(); !line.empty()) {
      view_.tell(std::move(line));
    }
    draw();
    return {};
  }

  bool attend(const EventLoop::Woken& woken) override {
    bool changed = false;
    for (const signalfd_siginfo& signal : woken.signals) {
      changed = true;
      switch (signal.ssi_signo) {
        case SIGWINCH:
          screen_->resize();
          break;
        case SIGTSTP:
          screen_->suspend();
          break;
        case SIGCONT:
          screen_->resume();
          break;
        default:
          break;
      }
    }
    while (const auto key = screen_->next_key()) {
      view_.handle(*key);
      changed = true;
    }
    if (changed && !view_.wants_quit()) {
      draw();
    }
    return view_.wants_quit() || screen_->closed();
  }

  std::optional<int> opened() const override { return view_.opened(); }
  std::uint64_t interval_ns() const override { return view_.interval_ns(); }

 private:
  Live(HeldStderr held, std::unique_ptr<tui::Screen> screen, std::uint64_t interval_ns)
      : held_(std::move(held)), screen_(std::move(screen)), view_(interval_ns) {}

  void draw() {
    tui::Drawn drawn = tui::render(view_, screen_->size());
    view_.limit_scroll(drawn.most_scroll);
    screen_->draw(drawn.grid);
  }

  HeldStderr held_;  // lets go after the screen
  std::unique_ptr<tui::Screen> screen_;
  tui::View view_;
};

bool ends(const EventLoop::Woken& woken) {
  return std::ranges::any_of(woken.signals, [](const signalfd_siginfo& signal) {
    return signal.ssi_signo == SIGINT || signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGHUP;
  });
}

/// Until the user, the time or the last target ends it.
Result<void> run(const cli::Options& options, HostWatch& host, Found& found, EventLoop& loop, Display& display,
                 const Clock& clock) {
  TopSampler sampler(host, found, clock, options);
  const std::uint64_t start = clock.monotonic_ns();
  const std::uint64_t end =
      options.duration_ns ? start + *options.duration_ns : std::numeric_limits<std::uint64_t>::max();
  std::uint64_t shown_ns = start;
  std::optional<int> opened = display.opened();
  std::uint64_t tables = 0;
  const auto show = [&]() -> Result<void> {
    shown_ns = clock.monotonic_ns();
    ++tables;
    return display.show(TRY(sampler.take(display.opened())));
  };
  if (!options.once && options.output != cli::Output::kJson) {
    TRY(show());  // what there is, before the first rates
  }
  for (bool stop = false; !stop && !host.over();) {
    const std::uint64_t now = clock.monotonic_ns();
    const std::uint64_t due = std::min(shown_ns + display.interval_ns(), end);
    const std::uint64_t left = due > now ? (due - now) / 1'000'000 + 1 : 0;
    const auto woken =
        TRY(loop.wait(static_cast<int>(std::min<std::uint64_t>(left, static_cast<std::uint64_t>(host.timeout_ms())))));
    stop = ends(woken) || display.attend(woken);
    TRY(host.turn());
    const bool over = clock.monotonic_ns() >= end;
    if (!stop && (over || clock.monotonic_ns() >= shown_ns + display.interval_ns() || display.opened() != opened)) {
      opened = display.opened();
      TRY(show());
      stop = options.once;
    }
    stop = stop || over;
  }
  if (options.once && tables == 0) {
    TRY(show());  // they ended before the time was over
  }
  return {};
}

Result<int> top(const cli::Options& options) {
  const bool json = options.output == cli::Output::kJson;
  const bool live =
      !json && !options.once && !options.no_clear && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  std::vector<int> signals = {SIGINT, SIGTERM, SIGHUP};
  if (live) {
    TRY(tui::Screen::check_terminal());
    signals.insert(signals.end(), {SIGWINCH, SIGTSTP, SIGCONT});
  }
  const SystemClock clock;
  EventLoop loop = TRY(EventLoop::create(signals));
  // The table tells what was found; in full it goes to --log-path, and into the stream of JSON.
  const UniqueFd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!nowhere) {
    return fail_errno("/dev/null");
  }
  Found found;
  auto host = TRY(HostWatch::create(options, json ? STDOUT_FILENO : nowhere.get(), clock, loop));
  host->watcher().observe([&found](const auto& finding, report::Published outcome, const auto& report, const auto&) {
    found.note(finding, outcome, report);
  });
  TRY(host->start());
  std::unique_ptr<Display> display = std::make_unique<Lines>(options);
  if (live) {
    TRY(loop.watch(STDIN_FILENO));
    display = TRY(Live::open(options));
  }
  const auto done = run(options, *host, found, loop, *display, clock);
  display.reset();
  host->finish();
  if (live) {
    // The screen is gone, and with it what it told.
    const report::WriterOptions writer = writer_options(options, STDOUT_FILENO);
    for (const report::Report& report : found.reports()) {
      (void)write_all(STDOUT_FILENO, report::to_compact(report, writer.style), "stdout");
    }
  }
  TRY(done);
  return host->exit_status();
}

}  // namespace

int run_top(const cli::Options& options) {
  const auto status = top(options);
  if (!status) {
    log::print_error(status.error());
    return log::exit_status(status.error().kind);
  }
  return *status;
}

}  // namespace mapwatch::app
