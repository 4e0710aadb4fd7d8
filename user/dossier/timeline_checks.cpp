#include "dossier/timeline_checks.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/escape.h"

namespace mapwatch::dossier {
namespace {

using witness::StderrKind;

constexpr std::uint64_t kJournalTickNs = 1000;  // its times are in us, cut

/// What Go prints first of all: "fatal error: ", the reason and the end of the line, by a write each and under no lock
/// (runtime/panic.go, throw and fatal). Of two goroutines that die at once both begin first, and whose reason is on
/// which line is chance.
bool has_first_line(std::string_view text, const Timeline& timeline) {
  const std::string said = escape_lines(text);  // the reason is escaped, too
  return said.find("fatal error: " + timeline.reason) != std::string::npos ||
         said.find("fatal error: fatal error: ") != std::string::npos;
}

Check check_file(const Timeline& timeline, const StderrSeen& seen, const Ending& ending) {
  const std::string name = escape(seen.name);
  if (!seen.growth) {
    return {"stderr", Verdict::kUnreadable, fmt::format("{}: not read, {}", name, escape(seen.unreadable))};
  }
  const std::int64_t got = seen.growth->bytes;
  if (got < 0) {
    return {"stderr", Verdict::kDiffers, fmt::format("{} is {} bytes shorter than at the crash", name, -got)};
  }
  if (!has_first_line(seen.growth->text, timeline)) {
    return {"stderr", Verdict::kMissing, fmt::format("{} got {} bytes, without Go's error", name, got)};
  }
  std::string text = fmt::format("{} got {} bytes, with Go's error", name, got);
  const bool all_noted = ending.calls && ending.gone_ns && *ending.gone_ns <= ending.calls_until_ns;
  const std::int64_t written = all_noted ? static_cast<std::int64_t>(ending.calls->bytes) : got;
  if (got < written) {
    return {"stderr", Verdict::kDiffers, text + fmt::format(", but {} were written", written)};
  }
  if (got > written) {
    text += fmt::format("; {} are the process's own since it was let go", written);
  }
  return {"stderr", Verdict::kAgrees, text};
}

Check check_stderr(const Timeline& timeline, const StderrSeen& seen, const Ending& ending) {
  const auto unreadable = [&](const char* what) {
    return Check{"stderr", Verdict::kUnreadable,
                 fmt::format("{} ({}): what came of it is not known here", what, escape(seen.name))};
  };
  switch (seen.kind) {
    case StderrKind::kClosed:
      return {"stderr", Verdict::kMissing, "descriptor 2 was closed: nobody has Go's words"};
    case StderrKind::kNull:
      return {"stderr", Verdict::kMissing, "it was /dev/null: nobody has Go's words"};
    case StderrKind::kFile:
      return check_file(timeline, seen, ending);
    case StderrKind::kPipe:
      return unreadable("a pipe");
    case StderrKind::kSocket:
      return unreadable("a socket");
    case StderrKind::kTerminal:
      return unreadable("a terminal");
    case StderrKind::kOther:
      return unreadable("no file");
    case StderrKind::kUnknown:
      break;
  }
  return {"stderr", Verdict::kUnreadable, "descriptor 2 could not be looked at"};
}

Check check_journal(Timeline& timeline, const JournalSeen& seen, StderrKind kind) {
  if (!seen.there) {
    return {"journal", Verdict::kUnreadable, "no journald here"};
  }
  if (!seen.asked || !seen.error.empty()) {
    return {"journal", Verdict::kUnreadable, seen.asked ? escape(seen.error) : "not asked yet"};
  }
  const std::vector<witness::JournalLine>& lines = seen.found.lines;
  const auto found = std::ranges::find_if(lines, [&](const witness::JournalLine& line) {
    return line.received_ns + kJournalTickNs > timeline.fatal_ns && has_first_line(line.message, timeline);
  });
  if (found == lines.end()) {
    if (lines.empty() && !seen.found.cut && kind != StderrKind::kSocket) {
      return {"journal", Verdict::kSilent, "nothing of this process since the crash; its stderr goes elsewhere"};
    }
    return {"journal", Verdict::kMissing,
            fmt::format("{}{} lines of this process since the crash, Go's error not among them",
                        seen.found.cut ? "more than " : "", lines.size())};
  }
  TimelineEvent event;
  event.moment = Moment::kJournal;
  event.at_ns = found->received_ns;
  const auto written = std::ranges::find(timeline.events, Moment::kGoSays, &TimelineEvent::moment);
  const bool early = written != timeline.events.end() && found->received_ns + kJournalTickNs <= written->at_ns;
  timeline.events.push_back(std::move(event));
  if (early) {
    return {"journal", Verdict::kDiffers, "it had Go's error before that was written: one of the times is wrong"};
  }
  return {"journal", Verdict::kAgrees,
          fmt::format("{} lines of this process since the crash, with Go's error", lines.size())};
}

Check check_kernel_log(Timeline& timeline, const KernelLogSeen& seen) {
  if (!seen.error.empty()) {
    return {"kernel_log", Verdict::kUnreadable, escape(seen.error)};
  }
  for (const witness::KernelLine& line : seen.found.lines) {
    TimelineEvent event;
    event.moment = Moment::kKernelLog;
    event.at_ns = std::max(line.time_ns, timeline.fatal_ns);  // read from the log's end at the crash on
    event.text = escape(line.text, 300);
    timeline.events.push_back(std::move(event));
  }
  if (!seen.found.lines.empty()) {
    return {"kernel_log", Verdict::kDiffers,
            fmt::format("{}{} lines name this process: Go's error alone leaves none there",
                        seen.found.cut ? "at least " : "", seen.found.lines.size())};
  }
  return seen.found.cut
             ? Check{"kernel_log", Verdict::kUnreadable, "more was logged since the crash than could be read"}
             : Check{"kernel_log", Verdict::kSilent, "nothing of this process since the crash, as it should be"};
}

}  // namespace

const char* verdict_word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAgrees:
      return "agrees";
    case Verdict::kDiffers:
      return "differs";
    case Verdict::kMissing:
      return "missing";
    case Verdict::kSilent:
      return "silent";
    case Verdict::kUnreadable:
      return "unreadable";
  }
  return "?";
}

void check_witnesses(Timeline& timeline, const TimelineFacts& facts) {
  const WitnessesSeen& seen = *facts.witnesses;
  timeline.stderr_kind = seen.err.kind;
  timeline.stderr_name = seen.err.name;
  timeline.checks.push_back(check_stderr(timeline, seen.err, facts.ending));
  timeline.checks.push_back(check_journal(timeline, seen.journal, seen.err.kind));
  timeline.checks.push_back(check_kernel_log(timeline, seen.kernel_log));
}

}  // namespace mapwatch::dossier
