// Copies what a crashing process holds while it stands still, and writes the dossier once it runs again.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "app/crash_timeline.h"
#include "app/freezer.h"
#include "app/program.h"
#include "base/clock.h"
#include "cli/options.h"
#include "dossier/crash_files.h"
#include "report/report.h"

namespace mapwatch::app {

class CrashRecorder {
 public:
  /// `clock` must outlive it.
  CrashRecorder(const cli::Options& options, const Clock& clock);

  /// Main thread: `pid` may crash from now on. How its memory is laid out is Program::runtime(): to be asked for
  /// before.
  void add(int pid, std::shared_ptr<const Program> program, std::uint64_t load_bias);
  /// Main thread: it is gone.
  void drop(int pid);
  /// Main thread, the process frozen: only copies. Puts the map into frozen.event when that has none and the crashing
  /// call's arguments prove it.
  void copy(Frozen& frozen);
  /// Main thread: a goroutine reached the fatal path of a process that another one had frozen.
  void also_fatal(const ingest::FatalEvent& event) { timeline_.also_fatal(event); }

  /// Report thread: writes the dossier of the crash, if it was frozen, and sets report.dossier. What fails is told on
  /// stderr; the report goes out all the same.
  void write(report::CrashReport& report);
  /// Report thread, after the last report of the process: what nobody asked for is not kept.
  void forget(std::uint32_t pid);
  /// Returns when nothing is to be written any more. Bounded (FollowLimits).
  void finish() { timeline_.finish(); }

 private:
  struct Subject {
    std::shared_ptr<const Program> program;
    std::uint64_t load_bias = 0;
    Result<std::string> environment;  ///< names only; read when it is attached to, which costs no frozen time
    ClockReading attached;
  };
  struct Copied {
    std::shared_ptr<const ParsedProgram> program;
    forensics::GoProcess process;  ///< of `program`
    dossier::CrashFacts facts;
    CrashTimeline::Begun timeline;
  };
  void copy_goroutines(const Frozen& frozen, const forensics::GoProcess& process, const forensics::Memory& memory,
                       dossier::CrashFacts& facts) const;
  void find_map(Frozen& frozen, const forensics::GoProcess& process, const forensics::Memory& memory,
                dossier::CrashFacts& facts) const;
  void copy_company(const Frozen& frozen, const forensics::GoProcess& process, const forensics::Memory& memory,
                    dossier::CrashFacts& facts) const;
  void copy_map(const Frozen& frozen, const forensics::GoProcess& process, const forensics::Memory& memory,
                dossier::CrashFacts& facts) const;
  std::optional<Copied> take(std::uint32_t pid);

  const bool wanted_;
  const std::string state_dir_;
  const std::string procfs_;
  const Clock& clock_;
  std::unordered_map<int, std::shared_ptr<const Subject>> subjects_;  ///< main thread only
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, Copied> copied_;  ///< by pid
  CrashTimeline timeline_;
};

}  // namespace mapwatch::app
