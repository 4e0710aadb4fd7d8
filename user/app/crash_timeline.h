// Takes the times of a crash while it happens, follows the process to its end, and brings the dossier's timeline up to
// date when that has come.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "app/crash_witnesses.h"
#include "app/freezer.h"
#include "app/last_moments.h"
#include "base/clock.h"
#include "cli/options.h"
#include "dossier/store.h"
#include "dossier/timeline.h"
#include "forensics/goroutine_copy.h"
#include "forensics/memory.h"
#include "ingest/event.h"
#include "report/report.h"

namespace mapwatch::app {

class CrashTimeline {
 public:
  /// A crash whose process was let go.
  struct Begun {
    dossier::TimelineFacts facts;  ///< without the ending
    std::uint64_t number = 0;      ///< of LastMoments; 0: there was no freeze
    std::shared_ptr<CrashWitnesses> witnesses;
  };

  /// `clock` must outlive it. `wanted`: false when nothing will be frozen.
  CrashTimeline(const cli::Options& options, const Clock& clock, bool wanted);

  /// Main thread, the process frozen and all else copied: it is let go next. `memory` may be null.
  Begun begin(const Frozen& frozen, const ClockReading& attached, const forensics::GoProcess& process,
              const forensics::Memory* memory);
  /// Main thread: a fatal event of a process that is frozen, or was, which is not the one of its report.
  void also_fatal(const ingest::FatalEvent& event);

  /// Report thread: the timeline as far as it is known.
  dossier::Timeline now(const Begun& begun, const report::CrashReport& report);
  /// Report thread: the dossier `id` was written with that timeline. The complete one is put into it when it can be
  /// had; `files` are those of the dossier, with the slots (dossier/timeline_files.h).
  void complete(const Begun& begun, const report::CrashReport& report, const std::string& id,
                const std::vector<dossier::DossierFile>& files);
  /// Nothing more is wanted of this crash.
  void forget(const Begun& begun) { moments_.forget(begun.number); }
  /// Returns when every timeline is complete, or was given up: after 1.5 s at most, but for a disk that is slow.
  void finish();

 private:
  const std::string state_dir_;
  const std::string procfs_;
  const Clock& clock_;
  std::atomic<std::uint64_t> finish_by_ns_ = 0;  ///< 0: there is time
  LastMoments moments_;
};

}  // namespace mapwatch::app
