#include "dossier/timeline.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/escape.h"
#include "dossier/timeline_checks.h"

namespace mapwatch::dossier {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TimelineEvent hazard_event(const report::PriorHazard& hazard, std::uint64_t map) {
  TimelineEvent event;
  event.moment = Moment::kHazard;
  event.at_ns = hazard.time_ns;
  event.hazard = hazard.id;
  event.printed_ns = hazard.printed_ns;
  if (map != 0 && hazard.map != 0) {
    event.same_map = hazard.map == map;
  }
  return event;
}

void add(Timeline& timeline, Moment moment, std::uint64_t at_ns, std::uint32_t tid = 0, std::uint64_t goid = 0) {
  TimelineEvent event;
  event.moment = moment;
  event.at_ns = at_ns;
  event.tid = tid;
  event.goid = goid;
  timeline.events.push_back(std::move(event));
}

/// The kernel side knows one thread that dies, and the beginning of Go's words. A thread that another fatal event names
/// dies, too, and may have begun before anybody looked.
bool first_is_gos(const Ending& ending) {
  const mw_dying& calls = *ending.calls;
  return calls.first_ns == calls.go_ns || std::ranges::any_of(ending.others, [&](const OtherFatal& other) {
           return other.tid == calls.first_tid && other.at_ns <= calls.first_ns;
         });
}

bool gos_words_seen(const Ending& ending) {
  return ending.calls->go_ns != 0 || (ending.calls->first_ns != 0 && first_is_gos(ending));
}

void add_calls(Timeline& timeline, const Ending& ending) {
  const mw_dying& calls = *ending.calls;
  timeline.stderr_writes = calls.writes;
  timeline.stderr_bytes = calls.bytes;
  const bool gos = first_is_gos(ending);
  if (calls.first_ns != 0) {
    add(timeline, gos ? Moment::kGoSays : Moment::kOtherWrite, calls.first_ns, calls.first_tid);
  }
  if (calls.go_ns != 0 && !gos) {
    add(timeline, Moment::kGoSays, calls.go_ns, calls.go_tid);
  }
  if (calls.exit_ns != 0) {
    add(timeline, Moment::kExit, calls.exit_ns);
    timeline.events.back().status = calls.exit_status;
  }
}

/// What the kernel side did not note of the end, and why.
void add_missing(Timeline& timeline, const Ending& ending, std::uint64_t let_go_ns) {
  std::vector<std::string>& missing = timeline.missing;
  bool begun = false;
  for (const OtherFatal& other : ending.others) {
    if (other.at_ns < let_go_ns) {
      begun = true;
      missing.push_back(
          fmt::format("goroutine {} reached the fatal path before the process stood still: what it printed until then "
                      "was not seen",
                      other.goid));
    }
  }
  if (ending.more_others != 0) {
    missing.push_back(fmt::format("{} more goroutines on the fatal path", ending.more_others));
  }
  if (!ending.calls) {
    missing.push_back("Go's first byte on stderr and the exit: " +
                      (ending.blind.empty() ? std::string("not noted") : escape(ending.blind)));
  } else {
    // Noted to the end, or only for a while.
    const bool cut = ending.calls_until_ns != 0 && !(ending.gone_ns && *ending.gone_ns <= ending.calls_until_ns);
    const std::string until = cut ? fmt::format(" within {:.1f}s of being let go, after which nobody looked",
                                                static_cast<double>(ending.calls_until_ns - let_go_ns) / kSecond)
                                  : "";
    const bool closed = cut || ending.gone_ns;
    if (closed && !begun && !gos_words_seen(ending)) {
      missing.push_back("Go's error did not come to stderr (descriptor 2)" + until);
    }
    if (closed && ending.calls->exit_ns == 0) {
      missing.push_back(cut ? "exit_group(2) was not called" + until
                            : "exit_group(2) was not called: a signal ended the process");
    }
    if (ending.calls->lost != 0) {
      missing.push_back(fmt::format("{} system calls whose arguments could not be read", ending.calls->lost));
    }
  }
  if (!ending.gone_ns) {
    missing.push_back(ending.over ? "the process had not ended when mapwatch stopped to wait for it"
                                  : "the process had not ended when this was written");
  }
}

/// Clocks of CPUs and of different readers must agree on what can only be so; when they do not, that is told.
void check_order(Timeline& timeline, bool stood_still) {
  constexpr std::array kChain = {Moment::kAttached, Moment::kFatal, Moment::kLetGo,
                                 Moment::kGoSays,   Moment::kExit,  Moment::kGone};
  const TimelineEvent* before = nullptr;
  for (const Moment moment : kChain) {
    const auto found = std::ranges::find(timeline.events, moment, &TimelineEvent::moment);
    if (found == timeline.events.end() || (moment == Moment::kLetGo && !stood_still)) {
      continue;
    }
    if (before != nullptr && found->at_ns < before->at_ns) {
      timeline.missing.push_back(fmt::format("{} comes before {}: one of their times is wrong", moment_word(moment),
                                             moment_word(before->moment)));
    }
    before = &*found;
  }
}

}  // namespace

const char* moment_word(Moment moment) {
  switch (moment) {
    case Moment::kGoStarted:
      return "go_started";
    case Moment::kAttached:
      return "attached";
    case Moment::kHazard:
      return "hazard";
    case Moment::kFatal:
      return "fatal";
    case Moment::kOtherFatal:
      return "other_fatal";
    case Moment::kLetGo:
      return "let_go";
    case Moment::kOtherWrite:
      return "other_write";
    case Moment::kGoSays:
      return "go_says";
    case Moment::kExit:
      return "exit";
    case Moment::kGone:
      return "gone";
    case Moment::kJournal:
      return "journal";
    case Moment::kKernelLog:
      return "kernel_log";
  }
  return "?";
}

Drift drift(const ClockReading& from, const ClockReading& to) {
  const auto monotonic = static_cast<std::int64_t>(to.monotonic_ns - from.monotonic_ns);
  const auto boottime = static_cast<std::int64_t>(to.boottime_ns - from.boottime_ns);
  Drift drift;
  drift.uncertainty_ns = from.uncertainty_ns + to.uncertainty_ns;
  const auto limit = static_cast<std::int64_t>(drift.uncertainty_ns);
  const std::int64_t slept = boottime - monotonic;
  drift.slept_ns = slept > limit ? static_cast<std::uint64_t>(slept) : 0;
  const std::int64_t step = to.realtime_ns - from.realtime_ns - boottime;
  drift.step_ns = step > limit || step < -limit ? step : 0;
  return drift;
}

Timeline build_timeline(const report::CrashReport& crash, const TimelineFacts& facts) {
  Timeline timeline;
  timeline.id = crash.id;
  timeline.pid = crash.process.pid;
  timeline.reason = crash.reason;
  timeline.fatal_ns = crash.time_ns;
  timeline.attached = facts.attached;
  timeline.crash = facts.crash;
  timeline.before = drift(facts.attached, facts.crash);
  timeline.go = facts.go;
  const auto host = [&](std::int64_t nanotime) { return static_cast<std::uint64_t>(nanotime - facts.go.offset_ns); };
  if (facts.go.start_ns) {
    timeline.go_zero_ns = host(*facts.go.start_ns);
  }
  if (facts.go.init_ns) {
    add(timeline, Moment::kGoStarted, host(*facts.go.init_ns));
  }
  add(timeline, Moment::kAttached, facts.attached.monotonic_ns);
  for (const report::PriorHazard& hazard : crash.prior) {
    timeline.events.push_back(hazard_event(hazard, crash.map.addr));
  }
  add(timeline, Moment::kFatal, crash.time_ns, crash.tid, crash.goid);
  for (const OtherFatal& other : facts.ending.others) {
    add(timeline, Moment::kOtherFatal, other.at_ns, other.tid, other.goid);
  }
  add(timeline, Moment::kLetGo, facts.let_go_ns);
  if (facts.ending.calls) {
    add_calls(timeline, facts.ending);
  }
  if (facts.ending.gone_ns) {
    add(timeline, Moment::kGone, *facts.ending.gone_ns);
  }
  if (facts.witnesses) {
    check_witnesses(timeline, facts);
  }
  std::ranges::stable_sort(timeline.events, {}, &TimelineEvent::at_ns);
  if (!facts.stood_still) {
    timeline.missing.push_back("somebody else continued the process before it was let go: what it did until then");
  }
  add_missing(timeline, facts.ending, facts.let_go_ns);
  check_order(timeline, facts.stood_still);
  const bool all_asked = facts.witnesses && (!facts.witnesses->journal.there || facts.witnesses->journal.asked);
  timeline.complete = facts.ending.over && all_asked;
  return timeline;
}

}  // namespace mapwatch::dossier
