// --exec: a program for each finding, which reads it on stdin. Runs them on a thread of its own; who tells it of a
// finding never waits.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/spawn.h"
#include "base/unique_fd.h"

namespace mapwatch::alert {

struct CommandOptions {
  std::vector<std::string> command;         ///< an absolute path and its arguments
  std::optional<Credentials> user;          ///< nullopt: as mapwatch itself
  std::uint64_t limit_ns = 10'000'000'000;  ///< then all of its process group is killed
  unsigned at_once = 4;
  std::size_t most_waiting = 256;  ///< findings without a command yet; more are dropped, and counted
};

/// Who --exec runs as: `user`, or nobody when that is empty and mapwatch is root. kUsage: no such user, or it cannot be
/// become.
Result<std::optional<Credentials>> credentials_for(const std::string& user);

class Commands {
 public:
  /// Starts the thread. `clock` must outlive it.
  static Result<std::unique_ptr<Commands>> start(CommandOptions options, const Clock& clock);
  ~Commands();
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  /// What has not begun yet runs so.
  void change(CommandOptions options);
  /// `text`: what the command reads on stdin. From any thread.
  void run(std::string text);
  /// Those that run and wait come to their end, but all of them within one limit; then the thread ends.
  void finish();
  /// Begins to end, and does not wait for it; finish() does.
  void ask_to_end();

  struct Counts {
    std::uint64_t ok = 0;           ///< ended with status 0
    std::uint64_t failed = 0;       ///< with another, or by a signal
    std::uint64_t timeout = 0;      ///< were killed at the limit
    std::uint64_t not_started = 0;  ///< could not be run
    std::uint64_t dropped = 0;      ///< too many waited, or the end came first
  };
  Counts counts() const;

 private:
  struct Running {
    Spawned child;
    std::string name;
    UniqueFd said;      ///< its stderr
    std::string words;  ///< the first of that
    std::uint64_t end_ns = 0;
    bool killed = false;
  };
  Commands(CommandOptions options, const Clock& clock, UniqueFd wake);

  void loop();
  /// Starts what may be started; false: all is over.
  bool start_waiting();
  void begin(const CommandOptions& options, const std::string& text);
  /// True for the first time since the command is this one.
  bool first_failure();
  void wait_for_news();
  /// True: it is over and counted.
  bool look_at(Running& each, std::uint64_t now_ns);
  void read_words(Running& each) const;
  void count(std::uint64_t Counts::*what);

  const Clock& clock_;
  const UniqueFd wake_;
  std::list<Running> running_;
  mutable std::mutex mutex_;
  CommandOptions options_;
  std::deque<std::string> waiting_;
  Counts counts_;
  std::optional<std::uint64_t> end_ns_;  ///< CLOCK_MONOTONIC, when it is to end
  bool told_failing_ = false;            ///< of this command
  std::thread thread_;
};

}  // namespace mapwatch::alert
