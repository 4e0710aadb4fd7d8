// The timeline of a crash: what the kernel, mapwatch, the process itself and others' logs saw of it, in one order on
// one clock, CLOCK_MONOTONIC.
//
// Go's nanotime is that clock: clock_gettime(CLOCK_MONOTONIC) by the vDSO, as it is (runtime/sys_linux_amd64.s,
// runtime·nanotime1, Go 1.17-1.27), in a time namespace with that namespace's offset (time_namespaces(7)). What package
// time prints as m=+SECONDS counts from time.startNano, nanotime when that package was initialised (time/time.go).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "mapwatch/abi.h"
#include "report/report.h"
#include "witness/journal.h"
#include "witness/kernel_log.h"
#include "witness/stderr_place.h"

namespace mapwatch::dossier {

/// Another goroutine that reached the fatal path of a process that was being stopped, or ran on to its end.
struct OtherFatal {
  std::uint64_t at_ns = 0;
  std::uint64_t goid = 0;
  std::uint32_t tid = 0;
};

constexpr std::size_t kMostOthers = 64;

/// What became of a process that was let go after its crash.
struct Ending {
  std::optional<mw_dying> calls;     ///< its last system calls; none: `blind` says why
  std::uint64_t calls_until_ns = 0;  ///< when the kernel side stopped to note them; 0: it has not
  std::string blind;
  std::vector<OtherFatal> others;        ///< the first kMostOthers
  std::size_t more_others = 0;           ///< beyond them
  std::optional<std::uint64_t> gone_ns;  ///< mapwatch knew by then that it had ended
  bool over = false;                     ///< nothing more is to come: it is gone, or was given up
};

/// Go's clock, as the process's memory tells it.
struct GoClock {
  std::int64_t offset_ns = 0;            ///< nanotime - CLOCK_MONOTONIC of the host: of its time namespace
  std::optional<std::int64_t> init_ns;   ///< runtime.runtimeInitTime, by nanotime; none without symbols
  std::optional<std::int64_t> start_ns;  ///< time.startNano, likewise; none without package time
};

/// What others have of the crash, as it was found when the process was gone.
struct StderrSeen {
  witness::StderrKind kind = witness::StderrKind::kUnknown;
  std::string name;        ///< raw
  std::string unreadable;  ///< why a file could not be read
  std::optional<witness::StderrPlace::Growth> growth;
};
struct JournalSeen {
  bool there = false;
  bool asked = false;  ///< not yet: it is asked when the report is out
  std::string error;
  witness::Journal::Lines found;
};
struct KernelLogSeen {
  std::string error;
  witness::KernelLog::Lines found;
};
struct WitnessesSeen {
  StderrSeen err;
  JournalSeen journal;
  KernelLogSeen kernel_log;
};

/// What is known of a crash beside its report.
struct TimelineFacts {
  ClockReading attached;        ///< when all probes stood
  ClockReading crash;           ///< while the process stood still
  std::uint64_t let_go_ns = 0;  ///< all was copied: SIGCONT is sent from then on
  bool stood_still = true;      ///< until it was let go: nobody else continued it
  GoClock go;
  Ending ending;
  std::optional<WitnessesSeen> witnesses;  ///< none: not asked yet
};

enum class Moment {
  kGoStarted,   ///< Go's runtime initialised itself
  kAttached,    ///< all probes stood
  kHazard,      ///< one was seen
  kFatal,       ///< the goroutine of the report reached Go's fatal path, and the process was sent SIGSTOP
  kOtherFatal,  ///< another one did
  kLetGo,
  kOtherWrite,  ///< the first write on descriptor 2 afterwards, of a thread that does not die
  kGoSays,      ///< the first byte of Go's own error on descriptor 2
  kExit,        ///< exit_group(2)
  kGone,        ///< mapwatch knew by then that it had ended
  kJournal,     ///< journald had Go's error
  kKernelLog,   ///< the kernel's log names the process
};

enum class Verdict {
  kAgrees,
  kDiffers,     ///< it has something else
  kMissing,     ///< it should have Go's error and has not
  kSilent,      ///< it has nothing, and need not
  kUnreadable,  ///< nobody knows
};
const char* verdict_word(Verdict verdict);

/// What one of the others says of the crash.
struct Check {
  const char* witness = "";  ///< "stderr", "journal", "kernel_log"
  Verdict verdict = Verdict::kUnreadable;
  std::string text;  ///< for people; fit for a terminal
};

/// "attached", "go_says": as JSON has them.
const char* moment_word(Moment moment);

struct TimelineEvent {
  Moment moment = Moment::kFatal;
  std::uint64_t at_ns = 0;  ///< CLOCK_MONOTONIC
  std::uint32_t tid = 0;    ///< 0: of no one thread
  std::uint64_t goid = 0;
  std::string hazard;                       ///< its id
  std::optional<std::uint64_t> printed_ns;  ///< a hazard: when it had left mapwatch
  std::optional<bool> same_map;             ///< a hazard: on the map of the crash; none: that map is not known
  std::optional<std::uint32_t> status;      ///< of exit_group
  std::string text;                         ///< of the kernel's log; fit for a terminal
};

/// How the clocks went between two readings.
struct Drift {
  /// CLOCK_REALTIME was set by this much: by hand, by an NTP step, by a leap second. A slew does not show: it bends
  /// CLOCK_MONOTONIC alike (kernel/time/timekeeping.c).
  std::int64_t step_ns = 0;
  std::uint64_t slept_ns = 0;        ///< the host was suspended: CLOCK_MONOTONIC stood still
  std::uint64_t uncertainty_ns = 0;  ///< less is no drift
};
Drift drift(const ClockReading& from, const ClockReading& to);

struct Timeline {
  std::string id;  ///< of the crash
  std::uint32_t pid = 0;
  std::string reason;
  std::uint64_t fatal_ns = 0;  ///< CLOCK_MONOTONIC of the fatal error
  ClockReading attached;
  ClockReading crash;
  Drift before;  ///< from attaching to the crash
  GoClock go;
  std::optional<std::uint64_t> go_zero_ns;  ///< CLOCK_MONOTONIC of m=+0 in what package time prints
  std::vector<TimelineEvent> events;        ///< in order of time
  std::uint64_t stderr_writes = 0;          ///< on descriptor 2, after it was let go; and their bytes
  std::uint64_t stderr_bytes = 0;
  witness::StderrKind stderr_kind = witness::StderrKind::kUnknown;
  std::string stderr_name;           ///< raw
  std::vector<Check> checks;         ///< of what others have; empty: not asked yet
  std::vector<std::string> missing;  ///< what is not known and why, for people; fit for a terminal
  bool complete = false;             ///< nothing more is to come
};

/// Pure: the same facts give the same timeline.
Timeline build_timeline(const report::CrashReport& crash, const TimelineFacts& facts);

/// Lines for a terminal, times relative to the fatal error.
std::string timeline_text(const Timeline& timeline);
/// A table of the events and a list of the rest, for report.html.
std::string timeline_html(const Timeline& timeline);
/// One JSON object, kind "timeline".
std::string timeline_json(const Timeline& timeline);

}  // namespace mapwatch::dossier
