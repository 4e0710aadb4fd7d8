// Asks others what they have of a crash: the file behind the process's stderr, the journal, the kernel's log.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/proc.h"
#include "dossier/timeline.h"
#include "witness/journal.h"
#include "witness/kernel_log.h"
#include "witness/stderr_place.h"

namespace mapwatch::app {

class CrashWitnesses {
 public:
  /// The process `pid` stands still. What is only to be had now is taken; nobody is waited for.
  CrashWitnesses(int pid, const proc::ProcFs& procfs, const Clock& clock,
                 witness::Journal journal = witness::Journal());

  /// What they have, without asking the journal, which takes its time. One call after the other, from any thread.
  const dossier::WitnessesSeen& look();
  /// The same, and the journal is asked, again and again until then (CLOCK_MONOTONIC) while the process's words may be
  /// on their way to it. With no time left it is not asked.
  const dossier::WitnessesSeen& ask_all(const std::string& reason, const ClockReading& crash, std::uint64_t until_ns);

 private:
  const int pid_;
  const Clock& clock_;
  const witness::Journal journal_;
  const witness::StderrPlace stderr_;
  const Result<witness::KernelLog> kernel_log_;
  dossier::WitnessesSeen seen_;
};

}  // namespace mapwatch::app
