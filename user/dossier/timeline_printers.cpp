#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "base/rfc3339.h"
#include "dossier/markup.h"
#include "dossier/timeline.h"
#include "report/format.h"

namespace mapwatch::dossier {
namespace {

using Json = nlohmann::ordered_json;

/// "+0.004123s"; "0" for the event itself.
std::string relative(std::int64_t ns) { return ns == 0 ? "0" : fmt::format("{:+.6f}s", static_cast<double>(ns) / 1e9); }

std::int64_t since_crash(const Timeline& timeline, std::uint64_t at_ns) {
  return static_cast<std::int64_t>(at_ns - timeline.fatal_ns);
}

std::string who(const TimelineEvent& event) {
  const std::string thread = event.tid == 0 ? "" : fmt::format(" [thread {}]", event.tid);
  return event.goid == 0 ? thread : fmt::format(" goroutine {}{}", event.goid, thread);
}

std::string hazard_text(const Timeline& timeline, const TimelineEvent& event) {
  std::string text = "hazard " + escape(event.hazard);
  if (event.same_map) {
    text += *event.same_map ? " of this very map" : " of another map";
  }
  if (event.printed_ns) {
    const bool late = since_crash(timeline, *event.printed_ns) >= 0;
    text += fmt::format(", printed {} later{}", report::human_duration(*event.printed_ns - event.at_ns),
                        late ? ": after the crash" : "");
  }
  return text;
}

std::string event_text(const Timeline& timeline, const TimelineEvent& event) {
  switch (event.moment) {
    case Moment::kGoStarted:
      return "Go's runtime started";
    case Moment::kAttached:
      return "mapwatch attached: all probes stood";
    case Moment::kHazard:
      return hazard_text(timeline, event);
    case Moment::kFatal:
      return fmt::format("fatal error: {}:{}; the process was sent SIGSTOP", escape(timeline.reason), who(event));
    case Moment::kOtherFatal:
      return fmt::format("on the fatal path, too:{}", who(event));
    case Moment::kLetGo:
      return "all was copied: let go";
    case Moment::kOtherWrite:
      return "a write on stderr that is not Go's error" + who(event);
    case Moment::kGoSays:
      return "first byte of Go's error on stderr" + who(event);
    case Moment::kExit:
      return fmt::format("exit_group(2), status {}", event.status.value_or(0) & 0xff);
    case Moment::kGone:
      return "known to have ended";
    case Moment::kJournal:
      return "Go's error was in the journal";
    case Moment::kKernelLog:
      return "the kernel's log, by its own clock: " + event.text;
  }
  return "?";
}

std::string clock_text(const Timeline& timeline) {
  const Drift& drift = timeline.before;
  std::string text = "wall clock ";
  if (drift.step_ns == 0) {
    text += fmt::format("not set between attaching and the crash (within {})",
                        report::human_duration(drift.uncertainty_ns));
  } else {
    text += fmt::format("set {} by {} between attaching and the crash: the report's own times are by the clock before",
                        drift.step_ns > 0 ? "forward" : "back",
                        report::human_duration(static_cast<std::uint64_t>(std::abs(drift.step_ns))));
  }
  if (drift.slept_ns != 0) {
    text += fmt::format("; the host slept for {}, which the monotonic clock leaves out",
                        report::human_duration(drift.slept_ns));
  }
  return text;
}

std::string go_text(const Timeline& timeline) {
  std::string text = "nanotime is the monotonic clock";
  if (timeline.go.offset_ns != 0) {
    text += fmt::format(" {:+.6f}s, of the process's time namespace", static_cast<double>(timeline.go.offset_ns) / 1e9);
  }
  if (timeline.go_zero_ns) {
    text +=
        fmt::format("; m=+0 in what package time prints is {}", relative(since_crash(timeline, *timeline.go_zero_ns)));
  }
  return text;
}

/// What goes below the events: name and text.
std::vector<std::pair<const char*, std::string>> remarks(const Timeline& timeline) {
  std::vector<std::pair<const char*, std::string>> out = {{"Clocks", clock_text(timeline)}, {"Go", go_text(timeline)}};
  for (const Check& check : timeline.checks) {
    const std::string_view witness = check.witness;
    out.emplace_back(witness == "stderr"    ? "Stderr"
                     : witness == "journal" ? "Journal"
                                            : "Kernel",
                     fmt::format("{}: {}", verdict_word(check.verdict), check.text));
  }
  for (const std::string& missing : timeline.missing) {
    out.emplace_back("Missing", missing);
  }
  return out;
}

const char* stderr_word(witness::StderrKind kind) {
  switch (kind) {
    case witness::StderrKind::kUnknown:
      return "unknown";
    case witness::StderrKind::kClosed:
      return "closed";
    case witness::StderrKind::kNull:
      return "null";
    case witness::StderrKind::kFile:
      return "file";
    case witness::StderrKind::kPipe:
      return "pipe";
    case witness::StderrKind::kSocket:
      return "socket";
    case witness::StderrKind::kTerminal:
      return "terminal";
    case witness::StderrKind::kOther:
      return "other";
  }
  return "unknown";
}

Json reading_json(const ClockReading& reading) {
  return {{"monotonic_ns", reading.monotonic_ns},
          {"realtime_ns", reading.realtime_ns},
          {"boottime_ns", reading.boottime_ns},
          {"uncertainty_ns", reading.uncertainty_ns}};
}

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json event_json(const Timeline& timeline, const TimelineEvent& event) {
  Json json = {{"what", moment_word(event.moment)},
               {"time_ns", event.at_ns},
               {"time", rfc3339(timeline.crash.wall_ns(event.at_ns))},
               {"offset_ns", since_crash(timeline, event.at_ns)}};
  if (event.goid != 0) {
    json["goid"] = event.goid;
  }
  if (event.tid != 0) {
    json["tid"] = event.tid;
  }
  if (event.moment == Moment::kHazard) {
    json["id"] = event.hazard;
    json["printed_ns"] = or_null(event.printed_ns);
    json["same_map"] = or_null(event.same_map);
  }
  if (!event.text.empty()) {
    json["text"] = event.text;
  }
  if (event.status) {
    json["status"] = *event.status & 0xff;
  }
  return json;
}

}  // namespace

std::string timeline_text(const Timeline& timeline) {
  std::string text = fmt::format("Timeline by the kernel's monotonic clock; 0 is {}:\n",
                                 rfc3339(timeline.crash.wall_ns(timeline.fatal_ns)));
  for (const TimelineEvent& event : timeline.events) {
    text += fmt::format("{:>16}  {}\n", relative(since_crash(timeline, event.at_ns)), event_text(timeline, event));
  }
  for (const auto& [name, line] : remarks(timeline)) {
    text += fmt::format("{:<9} {}\n", fmt::format("{}:", name), line);
  }
  return text;
}

std::string timeline_html(const Timeline& timeline) {
  std::string text = "<div class=\"wide\"><table>\n<tr><th>time</th><th>from the crash</th><th>what</th></tr>\n";
  for (const TimelineEvent& event : timeline.events) {
    text += fmt::format("<tr{}><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                        event.moment == Moment::kFatal ? " class=\"user\"" : "",
                        rfc3339(timeline.crash.wall_ns(event.at_ns)), relative(since_crash(timeline, event.at_ns)),
                        markup(event_text(timeline, event)));
  }
  text += "</table></div>\n<dl>\n";
  for (const auto& [name, line] : remarks(timeline)) {
    text += fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, markup(line));
  }
  return text + "</dl>\n";
}

std::string timeline_json(const Timeline& timeline) {
  Json json = {{"schema_version", 1},
               {"kind", "timeline"},
               {"id", timeline.id},
               {"pid", timeline.pid},
               {"complete", timeline.complete}};
  json["events"] = Json::array();
  for (const TimelineEvent& event : timeline.events) {
    json["events"].push_back(event_json(timeline, event));
  }
  json["stderr"] = {{"writes", timeline.stderr_writes},
                    {"bytes", timeline.stderr_bytes},
                    {"kind", stderr_word(timeline.stderr_kind)},
                    {"name", timeline.stderr_name.empty() ? Json(nullptr) : Json(escape(timeline.stderr_name))}};
  json["clocks"] = {{"attached", reading_json(timeline.attached)},
                    {"crash", reading_json(timeline.crash)},
                    {"step_ns", timeline.before.step_ns},
                    {"slept_ns", timeline.before.slept_ns},
                    {"uncertainty_ns", timeline.before.uncertainty_ns},
                    {"nanotime_offset_ns", timeline.go.offset_ns},
                    {"go_init_nanotime_ns", or_null(timeline.go.init_ns)},
                    {"go_zero_ns", or_null(timeline.go_zero_ns)}};
  json["checks"] = Json::array();
  for (const Check& check : timeline.checks) {
    json["checks"].push_back(
        {{"witness", check.witness}, {"verdict", verdict_word(check.verdict)}, {"text", check.text}});
  }
  json["missing"] = timeline.missing;
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace mapwatch::dossier
