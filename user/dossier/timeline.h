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

/// What is known of a crash beside its report.
struct TimelineFacts {
  ClockReading attached;        ///< when all probes stood
  ClockReading crash;           ///< while the process stood still
  std::uint64_t let_go_ns = 0;  ///< all was copied: SIGCONT is sent from then on
  bool stood_still = true;      ///< until it was let go: nobody else continued it
  GoClock go;
  Ending ending;
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
