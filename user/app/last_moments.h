// Follows processes from the end of their freeze to their end, on a thread of its own: nobody waits for a process that
// takes its time to die.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "attach/dying_watch.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "dossier/timeline.h"

namespace mapwatch::app {

/// How long a process is followed.
struct FollowLimits {
  std::uint64_t calls_ns = 1'000'000'000;  ///< its system calls: every process of the host pays for that
  std::uint64_t end_ns = 10'000'000'000;   ///< its end
  std::uint64_t grace_ns = 500'000'000;    ///< both, once mapwatch itself is to end
};

class LastMoments {
 public:
  using Done = std::function<void(const dossier::Ending&)>;

  using Watch = Result<std::unique_ptr<attach::DyingWatch>>;

  /// Without a `watch` the last system calls stay unknown, for the reason that it gives.
  LastMoments(const Clock& clock, Watch watch, FollowLimits limits = {});
  ~LastMoments();
  LastMoments(const LastMoments&) = delete;
  LastMoments& operator=(const LastMoments&) = delete;

  /// The process of `pidfd` stands still and is about to be let go. Its calls are noted when this returns. A number to
  /// ask for it by.
  std::uint64_t follow(std::uint32_t pid, std::uint32_t tid, int pidfd);
  /// Another goroutine of a process that is followed, or is about to be, reached its fatal path. (Its event may stand
  /// in the ring before the one of the goroutine that had the process frozen.)
  void also_fatal(std::uint32_t pid, const dossier::OtherFatal& other);
  /// What is known now.
  dossier::Ending look(std::uint64_t number);
  /// Calls `done` from the thread, once: when nothing more is to come.
  void when_over(std::uint64_t number, Done done);
  /// Nobody will ask for it any more.
  void forget(std::uint64_t number);
  /// Returns when all that is followed is over and told; what lives on is given up after the grace.
  void finish();

 private:
  struct Entry {
    std::uint64_t number = 0;
    std::uint32_t pid = 0;
    UniqueFd pidfd;
    std::uint64_t since_ns = 0;
    bool noted = false;  ///< by the kernel side, still
    dossier::Ending moments;
    Done done;
  };
  void run();
  Entry* find(std::uint64_t number);
  /// Brings an entry up to date; true when it is over.
  bool update(Entry& entry, std::uint64_t now, bool gone);
  void wake() const;
  static void add_other(dossier::Ending& moments, const dossier::OtherFatal& other);

  const Clock& clock_;
  const FollowLimits limits_;
  const Watch watch_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Entry> entries_;
  std::deque<std::pair<std::uint32_t, dossier::OtherFatal>> early_;  ///< by pid, of processes not followed yet
  std::uint64_t numbers_ = 0;
  std::uint64_t finish_ns_ = 0;  ///< when finish() was called; 0: not yet
  bool telling_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace mapwatch::app
