// Watches the processes that the user chose, those that are there and those that come: -p, -a, -n, -x, --cgroup.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "app/discovery.h"
#include "app/event_loop.h"
#include "app/watcher.h"
#include "base/clock.h"
#include "cli/options.h"

namespace mapwatch::app {

class HostWatch {
 public:
  /// Loads the kernel side, which notes every exec from now on. `clock` and `loop` must outlive it.
  static Result<std::unique_ptr<HostWatch>> create(const cli::Options& options, int findings_fd, const Clock& clock,
                                                   EventLoop& loop);

  /// Attaches to the named processes (an error when one cannot be watched), then to those that the selectors choose.
  Result<void> start();
  /// After each wait: findings, exits, execs, new processes.
  Result<void> turn();
  /// From now on chooses and samples as `options` say, and suppresses what they name; the rest of them is as before.
  /// Processes for which nothing changes are not touched. An error of the suppressions leaves all as it is.
  Result<void> reload(const cli::Options& options);
  /// How long to wait for something to happen, at most.
  int timeout_ms() const;
  /// Nothing is left to watch and nothing more can come, or a finding asks to stop.
  bool over() const;
  /// Detaches and prints the summary.
  void finish();

  const Watcher& watcher() const { return *watcher_; }
  Watcher& watcher() { return *watcher_; }
  /// Of the command, once it is finished: --exit-code when hazards were found.
  int exit_status() const;

  /// A process that was chosen and cannot be watched.
  struct Refused {
    std::string comm;
    std::string reason;
    std::uint64_t start_time = 0;  ///< clock ticks since boot
  };
  /// By PID, those that still run; of very many, some.
  const std::map<int, Refused>& refused() const { return refused_; }

  struct Counts {
    std::uint64_t attached = 0;  ///< processes, each exec and each reload that changes it anew
    std::uint64_t brief = 0;     ///< of a file that is armed: ended so soon that only their marks were watched
    std::uint64_t unseen = 0;   ///< ended before anybody could tell whether they were Go programs; not among the others
    std::uint64_t refused = 0;  ///< chosen, and could not be watched
    std::uint64_t rescans = 0;  ///< looks through /proc because events were lost
    std::map<ErrorKind, std::uint64_t> errors;  ///< why processes were not watched that were chosen
  };
  const Counts& counts() const { return counts_; }

 private:
  HostWatch(const cli::Options& options, const Clock& clock);

  /// Looks through /proc.
  Result<void> scan();
  void note(const Watcher::NewProcess& news);
  void look_at(int pid, bool adopted);
  void act_on(int pid, const Discovery::Look& look, bool adopted);
  /// It ended before it could be looked at.
  void count_gone(int pid, bool adopted);
  /// True when it is watched now.
  bool add(int pid, Match match, const FileKey* file);
  void look_at_pending();
  void sweep_ignored();
  void sweep_refused();

  /// A new process of a file that is armed: its marks are watched already, and most short-lived ones cost no more.
  struct Pending {
    int pid;
    std::uint64_t due_ns;
  };
  struct Ignored {
    std::uint64_t start_time;
    FileKey file;
  };

  cli::Options options_;
  const Clock& clock_;
  const proc::ProcFs procfs_;
  const bool continuing_;
  std::optional<Discovery> discovery_;
  std::unique_ptr<Watcher> watcher_;
  std::deque<Pending> pending_;
  std::map<int, std::uint64_t> waiting_;  ///< by pid, its entry of pending_ that counts: when it is due
  /// By pid: counted at that time; an adoption before it may yet be read.
  std::map<int, std::uint64_t> settled_;
  /// By pid: counted as unseen, of an exec at that time; an adoption that is told of later says what it was.
  std::map<int, std::uint64_t> unseen_;
  std::map<int, Ignored> ignored_;
  std::map<int, Refused> refused_;
  std::set<FileKey> told_;  ///< files whose refusal was told
  std::uint64_t lost_news_ = 0;
  std::uint64_t next_check_ns_ = 0;
  Counts counts_;
};

}  // namespace mapwatch::app
