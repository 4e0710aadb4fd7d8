#include "alert/commands.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/escape.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/write_all.h"

namespace mapwatch::alert {
namespace {

constexpr std::size_t kMostWords = 512;
constexpr int kKilledWithinMs = 100;
constexpr const char* kNobody = "nobody";
constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A file of no name that holds `text`, to be read from its beginning: who reads it slowly, or not at all, keeps nobody
/// waiting.
Result<UniqueFd> file_of(const std::string& text) {
  const UniqueFd low(::memfd_create("mapwatch-finding", MFD_CLOEXEC));
  UniqueFd file(low ? ::fcntl(low.get(), F_DUPFD_CLOEXEC, 3) : -1);
  if (!file) {
    return fail_errno("memfd_create");
  }
  TRY(write_all(file.get(), text, "a command's stdin"));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) {
    return fail_errno("lseek");
  }
  return file;
}

std::string how_it_ended(const siginfo_t& end) {
  return end.si_code == CLD_EXITED ? fmt::format("status {}", end.si_status) : fmt::format("signal {}", end.si_status);
}

}  // namespace

Result<std::optional<Credentials>> credentials_for(const std::string& user) {
  const bool root = ::geteuid() == 0;
  if (user.empty() && !root) {
    return std::optional<Credentials>();
  }
  Credentials found = TRY(find_user(user.empty() ? kNobody : user));
  if (!root && found.uid != ::geteuid()) {
    return fail(ErrorKind::kUsage, "only root can run a command as another user");
  }
  return root ? std::optional(std::move(found)) : std::nullopt;
}

Result<std::unique_ptr<Commands>> Commands::start(CommandOptions options, const Clock& clock) {
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) {
    return fail_errno("eventfd");
  }
  return std::unique_ptr<Commands>(new Commands(std::move(options), clock, std::move(wake)));
}

Commands::Commands(CommandOptions options, const Clock& clock, UniqueFd wake)
    : clock_(clock), wake_(std::move(wake)), options_(std::move(options)) {
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { loop(); });
}

Commands::~Commands() { finish(); }

void Commands::run(std::string text) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= options_.most_waiting || end_ns_) {
      ++counts_.dropped;
      return;
    }
    waiting_.push_back(std::move(text));
  }
  ::eventfd_write(wake_.get(), 1);
}

void Commands::ask_to_end() {
  {
    const std::lock_guard lock(mutex_);
    end_ns_ = end_ns_.value_or(clock_.monotonic_ns() + options_.limit_ns);
  }
  ::eventfd_write(wake_.get(), 1);
}

void Commands::finish() {
  ask_to_end();
  if (thread_.joinable()) {
    thread_.join();
  }
}

Commands::Counts Commands::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Commands::count(std::uint64_t Counts::*what) {
  const std::lock_guard lock(mutex_);
  ++(counts_.*what);
}

void Commands::change(CommandOptions options) {
  const std::lock_guard lock(mutex_);
  told_failing_ = told_failing_ && options.command == options_.command;
  options_ = std::move(options);
}

bool Commands::first_failure() {
  const std::lock_guard lock(mutex_);
  return !std::exchange(told_failing_, true);
}

void Commands::begin(const CommandOptions& options, const std::string& text) {
  Running each;
  each.name = options.command[0];
  const auto started = [&]() -> Result<void> {
    const UniqueFd in = TRY(file_of(text));
    Pipe said = TRY(Pipe::create());
    Program program;
    program.command = options.command;
    program.environment = {kPath, "LC_ALL=C"};
    if (options.user) {
      program.environment.push_back("USER=" + options.user->name);
      program.environment.push_back("HOME=" + options.user->home);
    }
    program.in = in.get();
    program.err = said.writer.get();
    program.own_session = true;
    program.user = options.user;
    each.child = TRY(spawn(program));
    each.said = std::move(said.reader);
    return {};
  }();
  if (!started) {
    count(&Counts::not_started);
    if (first_failure()) {
      log::print_error({started.error().kind, "--exec: " + started.error().message, started.error().hint});
    }
    return;
  }
  ::fcntl(each.said.get(), F_SETFL, O_NONBLOCK);
  each.end_ns = clock_.monotonic_ns() + options.limit_ns;
  running_.push_back(std::move(each));
}

bool Commands::start_waiting() {
  for (;;) {
    std::string text;
    CommandOptions options;
    {
      const std::lock_guard lock(mutex_);
      if (end_ns_ && clock_.monotonic_ns() >= *end_ns_) {
        counts_.dropped += waiting_.size();
        counts_.timeout += running_.size();
        break;
      }
      if (waiting_.empty() || running_.size() >= options_.at_once) {
        return !(end_ns_ && waiting_.empty() && running_.empty());
      }
      text = std::move(waiting_.front());
      waiting_.pop_front();
      options = options_;
    }
    begin(options, text);
  }
  for (const Running& each : running_) {
    ::kill(-each.child.pid, SIGKILL);
  }
  for (const Running& each : running_) {
    reap(each.child, kKilledWithinMs);
  }
  return false;
}

void Commands::wait_for_news() {
  std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}};
  std::uint64_t next_ns = UINT64_MAX;
  {
    const std::lock_guard lock(mutex_);
    next_ns = end_ns_.value_or(next_ns);
  }
  for (const Running& each : running_) {
    fds.push_back({each.child.handle.get(), POLLIN, 0});
    fds.push_back({each.said.get(), POLLIN, 0});  // -1 once it is closed: poll passes it over
    next_ns = each.killed ? next_ns : std::min(next_ns, each.end_ns);
  }
  const std::uint64_t now_ns = clock_.monotonic_ns();
  constexpr std::uint64_t kLongMs = 60'000;
  const std::uint64_t left_ms = next_ns > now_ns ? (next_ns - now_ns) / 1'000'000 + 1 : 0;
  ::poll(fds.data(), fds.size(), static_cast<int>(std::min(left_ms, kLongMs)));
  eventfd_t woken = 0;
  ::eventfd_read(wake_.get(), &woken);
}

void Commands::read_words(Running& each) const {
  char piece[4096];
  while (each.said) {
    const ssize_t got = ::read(each.said.get(), piece, sizeof(piece));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      if (got == 0 || errno != EAGAIN) {
        each.said.reset();
      }
      return;
    }
    each.words.append(piece, std::min(static_cast<std::size_t>(got), kMostWords - each.words.size()));
  }
}

bool Commands::look_at(Running& each, std::uint64_t now_ns) {
  read_words(each);
  if (!each.killed && now_ns >= each.end_ns) {
    each.killed = true;
    ::kill(-each.child.pid, SIGKILL);
  }
  siginfo_t end = {};
  // It stays a zombie for now, so that its number is still that of its group, of which more may run.
  if (::waitid(P_PIDFD, static_cast<id_t>(each.child.handle.get()), &end, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 ||
      end.si_pid == 0) {
    return false;
  }
  ::kill(-each.child.pid, SIGKILL);
  reap(each.child, kKilledWithinMs);
  read_words(each);
  const bool ok = !each.killed && end.si_code == CLD_EXITED && end.si_status == 0;
  count(each.killed ? &Counts::timeout : ok ? &Counts::ok : &Counts::failed);
  if (!ok && first_failure()) {
    log::warn("--exec: {} {}{}{}; of more such only the count is told", escape(each.name),
              each.killed ? "took too long and was killed" : "ended with " + how_it_ended(end),
              each.words.empty() ? "" : ": ", escape(each.words, kMostWords));
  }
  return true;
}

void Commands::loop() {
  while (start_waiting()) {
    wait_for_news();
    const std::uint64_t now_ns = clock_.monotonic_ns();
    running_.remove_if([&](Running& each) { return look_at(each, now_ns); });
  }
}

}  // namespace mapwatch::alert
