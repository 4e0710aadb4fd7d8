// Wires the two arms: targets are read, planned and attached; kernel events are paired, symbolised and reported. Owns
// all life times: when it goes, everything is detached.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/binary_cache.h"
#include "app/crash_recorder.h"
#include "app/freezer.h"
#include "app/report_thread.h"
#include "attach/kernel.h"
#include "attach/target.h"
#include "attach/target_lock.h"
#include "base/clock.h"
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
  /// Loads the kernel side. `findings_fd`: where findings go without --log-path (1, or 2 under `run`).
  static Result<std::unique_ptr<Watcher>> create(const cli::Options& options, int findings_fd, const Clock& clock);
  ~Watcher();

  /// Attaches to `pid`; all probes stand when it returns. Says so on stderr. Errors leave the process as it was.
  Result<void> add(int pid);
  /// After an exec: the old program's probes went with its text.
  void drop(int pid);
  std::size_t targets() const { return targets_.size(); }
  bool watches(int pid) const { return targets_.contains(pid); }

  /// Each readable when turn() has something to do. They stay the same.
  std::vector<int> fds() const;
  /// One for each target, readable when it has exited.
  std::vector<std::pair<int, int>> pidfds() const;
  /// Takes what the ring holds, settles what is due, notes exits and execs. The pids that ran exec.
  Result<std::vector<int>> turn();
  /// A hazard or crash was printed and --halt-on-first asks to stop, or nobody reads the output any more.
  bool want_stop() const { return stop_.load(); }

  /// Detaches from everything, then settles, drains and prints lost and summary.
  void finish();
  std::uint64_t hazards() const { return publisher_.hazards(); }
  /// Targets let go of because what was read of them made no sense (correlate/trust.h).
  std::uint64_t disabled() const { return disabled_; }

 private:
  struct Watched {
    attach::Target target;
    attach::TargetLock lock;
    std::shared_ptr<const WatchedBinary> binary;
    std::shared_ptr<attach::ProbeSet> probes;
    std::uint64_t bias = 0;
    std::uint64_t cpu_ticks_at_start = 0;
    std::uint64_t cpu_ticks = 0;
  };

  Watcher(const cli::Options& options, const Clock& clock, attach::SelfTest self_test, attach::Kernel kernel,
          report::Writer writer, report::Suppressions suppressions, std::unique_ptr<ingest::RecordWriter> recorder);

  Result<std::shared_ptr<attach::ProbeSet>> attach(const attach::Target& target, const WatchedBinary& binary);
  void announce(const Watched& watched, std::uint64_t took_ns) const;
  void on_record(Bytes record, std::vector<int>& execs);
  void publish(std::vector<correlate::Finding> findings);
  /// Appends to --record, if asked for; a failure is told once and ends the recording, not the watching.
  void record(ingest::ChunkTag tag, Bytes payload);
  void record(ingest::ChunkTag tag, const std::string& payload) { record(tag, Bytes(payload.data(), payload.size())); }
  void record_published(const report::Report& report, std::uint32_t tgid);
  void retire(int pid);
  /// Lets go of a process whose layout cannot be believed, without a report of what it has sent so far.
  void disable(std::uint32_t tgid, const std::string& why);
  report::SummaryReport summary(const mw_counters& counters, std::uint64_t lost);
  bool inode_wide() const;

  const cli::Options options_;
  const Clock& clock_;
  attach::SelfTest self_test_;
  attach::Kernel kernel_;
  std::unique_ptr<Freezer> freezer_;
  std::unique_ptr<ingest::RingSource> ring_;
  std::unique_ptr<ingest::RecordWriter> recorder_;
  BinaryCache binaries_;
  std::map<int, Watched> targets_;
  std::map<std::uint32_t, std::weak_ptr<attach::ProbeSet>> inode_wide_;  // by layout
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
  std::uint64_t malformed_ = 0;
  std::uint64_t disabled_ = 0;
  std::uint64_t sites_ = 0;
  std::uint64_t target_cpu_ticks_ = 0;
  bool finished_ = false;
  ReportThread reports_;  // last: its work uses all of the above
};

}  // namespace mapwatch::app
