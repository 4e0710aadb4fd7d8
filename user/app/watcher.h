// Wires the two arms: targets are read, planned and attached; kernel events are paired, symbolised and reported. Owns
// all life times: when it goes, everything is detached.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/arms.h"
#include "app/cpu_meter.h"
#include "app/crash_recorder.h"
#include "app/freezer.h"
#include "app/governor.h"
#include "app/target_settings.h"
#include "attach/kernel.h"
#include "attach/target.h"
#include "attach/target_lock.h"
#include "base/clock.h"
#include "base/work_thread.h"
#include "cli/options.h"
#include "correlate/correlator.h"
#include "correlate/trust.h"
#include "ingest/record_file.h"
#include "ingest/ring_source.h"
#include "report/publisher.h"
#include "report/suppressions.h"
#include "report/writer.h"
#include "symbolize/live_symbolizer.h"
#include "symbolize/recording_symbolizer.h"

namespace mapwatch::app {

class Watcher {
 public:
  /// Loads the kernel side. `findings_fd`: where findings go without --log-path (1, or 2 under `run`). `execs`: with
  /// kEvery the caller answers each process of Turn::news, by add, ignore or forget_new.
  static Result<std::unique_ptr<Watcher>> create(const cli::Options& options, int findings_fd, const Clock& clock,
                                                 attach::Kernel::Execs execs = attach::Kernel::Execs::kOfWatched);
  ~Watcher();

  /// Attaches to `pid`; all probes stand when it returns. Says so on stderr. Errors leave the process as it was.
  /// `reach` kFile: the whole file may be armed, for the processes of it that are to come.
  Result<void> add(int pid, Match reach = Match::kProcess);
  /// After an exec: the old program's probes went with its text.
  void drop(int pid);
  std::size_t targets() const { return targets_.size(); }
  bool watches(int pid) const { return targets_.contains(pid); }
  /// New processes of this file are watched from their first operation on.
  bool armed(const FileKey& key) const { return arms_->wide(key) != nullptr; }
  /// Probes stand in the process (of the file `key`), and its hits are not to be looked at.
  void ignore(int pid, const FileKey& key);
  /// A process of Turn::news that is gone, or in which no probe can stand.
  void forget_new(int pid);
  /// mapwatch's own processes: this one and its guardian.
  std::vector<int> own_pids() const;

  /// Each readable when turn() has something to do. They stay the same.
  std::vector<int> fds() const;
  struct NewProcess {
    int pid = 0;
    std::uint64_t time_ns = 0;  ///< CLOCK_MONOTONIC of its exec, or of its first hit
    bool adopted = false;       ///< by the kernel side, at a hit
  };
  struct Turn {
    std::vector<int> execs;        ///< watched until they ran exec
    std::vector<NewProcess> news;  ///< only with Execs::kEvery
  };
  /// Takes what the ring holds, settles what is due, notes exits and execs.
  Result<Turn> turn();
  /// MW_EVENT_NEW that found the ring full, so far: /proc knows what was missed.
  std::uint64_t lost_news() const;
  /// A hazard or crash was printed and --halt-on-first asks to stop, or nobody reads the output any more.
  bool want_stop() const { return stop_.load(); }

  /// New settings for single processes and new suppressions, from now on. Returns the processes that are watched by
  /// other settings than these: to be dropped and added again.
  std::vector<int> reconfigure(const cli::Options& options, report::Suppressions suppressions);
  /// Files that no process is watched in are disarmed now.
  void disarm_idle() { arms_->disarm_idle(); }

  /// What became of a finding, told on the thread that writes them to all that observe; `report`: as it was written, or
  /// was to be, `process`: whose it is. Before the first add().
  using Observer = std::function<void(const correlate::Finding&, report::Published,
                                      const std::optional<report::Report>& report, const report::ProcessInfo& process)>;
  void observe(Observer observer) { observers_.push_back(std::move(observer)); }

  /// A process that is watched.
  struct Shown {
    const attach::Target& target;
    const Arm& arm;
    const mw_policy& policy;
    const cli::Options& options;  ///< with what the config file says of this process
  };
  /// By PID; valid until the next turn().
  std::vector<Shown> shown() const;
  const Governor& governor() const { return *governor_; }
  Result<mw_counters> counters() const { return kernel_.counters(); }
  Result<attach::Kernel::Runs> runs() const { return kernel_.runs(); }
  /// What each process was charged so far, by tgid.
  Result<std::unordered_map<std::uint32_t, mw_target_counts>> target_counters() const {
    return kernel_.target_counters();
  }
  attach::LinkKind link_kind() const { return kernel_.link_kind(); }
  /// Events that were lost so far, failed writes apart.
  std::uint64_t lost(const mw_counters& counters) const;

  /// How it goes on its way to a report.
  struct Flow {
    std::uint64_t events = 0;         ///< taken from the ring
    std::uint64_t malformed = 0;      ///< of these, not understood
    std::uint64_t last_event_ns = 0;  ///< CLOCK_MONOTONIC of the last one's arrival; 0: there was none
    std::uint64_t refused = 0;        ///< findings, because too many waited
    std::size_t waiting = 0;          ///< to be reported
    std::size_t ring_bytes = 0;
    std::size_t ring_used = 0;
    std::size_t symbol_bytes = 0;  ///< of names that are kept
  };
  Flow flow() const;
  /// How long each add() that succeeded took.
  void on_attached(std::function<void(std::uint64_t took_ns)> told) { attached_ = std::move(told); }

  /// Detaches from everything, then settles, drains and prints lost and summary.
  void finish();
  std::uint64_t hazards() const { return publisher_.hazards(); }
  /// Targets let go of because what was read of them made no sense (correlate/trust.h).
  std::uint64_t disabled() const { return disabled_; }

 private:
  static constexpr int kNicer = 10;  ///< of threads whose work nobody waits for

  struct Watched {
    attach::Target target;
    attach::TargetLock lock;
    std::shared_ptr<Arm> arm;
    std::shared_ptr<Armed> probes;
    std::uint64_t bias = 0;
    mw_policy policy = {};
    std::shared_ptr<const cli::Options> options;
  };

  Watcher(const cli::Options& options, const Clock& clock, attach::SelfTest self_test, attach::Kernel kernel,
          attach::Kernel::Execs execs, report::Writer writer, report::Suppressions suppressions,
          std::unique_ptr<ingest::RecordWriter> recorder);

  /// Whose events they are.
  struct Known {
    std::shared_ptr<Arm> arm;  ///< null: nobody knows
    std::uint64_t bias = 0;
  };

  /// Tells correlator, symbols, reports and recording of a process, before its first event.
  void introduce(std::uint32_t tgid, const Arm& arm, std::uint64_t bias, report::ProcessInfo info);
  /// The same of an adopted process that sends events before it could be looked at, and may be gone by now.
  Known introduce_adopted(const ingest::Event& event);
  /// For the governor, before it arms other probes in a process.
  Governor::Verify verifier(const Watched& watched) const;
  void announce(const Watched& watched, std::uint64_t took_ns) const;
  Result<void> poll_ring(Turn& turn);
  void on_record(Bytes record, Turn& turn);
  void publish(std::vector<correlate::Finding> findings);
  /// Appends to --record, if asked for; a failure is told once and ends the recording, not the watching.
  void record(ingest::ChunkTag tag, Bytes payload);
  void record(ingest::ChunkTag tag, const std::string& payload) { record(tag, Bytes(payload.data(), payload.size())); }
  void record_published(const report::Report& report, std::uint32_t tgid);
  void retire(int pid);
  /// After the last report of the process: what was kept for its reports.
  void forget(std::uint32_t tgid);
  /// Lets go of a process whose layout cannot be believed, without a report of what it has sent so far.
  void disable(std::uint32_t tgid, const std::string& why);
  report::SummaryReport summary(const mw_counters& counters, std::uint64_t lost);
  /// For the summary, while the process is still known to the governor.
  void note_odds(int pid, const Watched& watched, const Governor::Figures& figures);
  /// Links of one process can be had.
  bool narrow() const { return kernel_.link_kind() == attach::LinkKind::kMulti && self_test_.pid_filter; }

  const cli::Options options_;
  const Clock& clock_;
  attach::SelfTest self_test_;
  attach::Kernel kernel_;
  const attach::Kernel::Execs execs_;
  TargetSettings settings_;
  std::unique_ptr<Freezer> freezer_;
  std::unique_ptr<ingest::RingSource> ring_;
  std::unique_ptr<ingest::RecordWriter> recorder_;
  UniqueFd exits_;  ///< epoll of all pidfds
  attach::Ranges site_numbers_{0, MW_MAX_SITES};
  std::unique_ptr<Governor> governor_;
  std::optional<Arms> arms_;
  std::map<int, Watched> targets_;
  std::map<std::uint32_t, Known> introduced_;  ///< adopted ones that sent events, not in targets_
  CpuMeter cpu_;
  correlate::Correlator correlator_;
  correlate::Trust trust_;
  symbolize::LiveSymbolizer live_symbols_;
  std::unique_ptr<symbolize::RecordingSymbolizer> recording_symbols_;
  report::Writer writer_;
  report::Suppressions suppressions_;
  report::Publisher publisher_;
  CrashRecorder crash_recorder_;
  std::atomic<bool> stop_ = false;
  std::uint64_t started_ns_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t last_event_ns_ = 0;
  std::uint64_t malformed_ = 0;
  std::uint64_t disabled_ = 0;
  std::uint64_t armed_at_end_ = 0;
  std::vector<report::TargetSummary> odds_;  ///< of processes that are not watched any more
  std::vector<Observer> observers_;
  std::function<void(std::uint64_t)> attached_;
  bool finished_ = false;
  /// What a crash would need, found out beforehand: takes 30 ms a program, seconds where the CPUs are busy, and no
  /// warning may wait for that.
  WorkThread beforehand_{kNicer};
  WorkThread reports_;  // last: its work uses all of the above
};

}  // namespace mapwatch::app
