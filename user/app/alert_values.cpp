#include "app/alert_values.h"

#include <fmt/format.h>

#include "base/escape.h"
#include "metrics/ledger.h"
#include "report/format.h"

namespace mapwatch::app {

namespace {

constexpr std::size_t kMostDescription = 8192;
// Of a datagram to journald; more would go by a file (systemd's src/libsystemd/sd-journal/journal-send.c).
constexpr std::size_t kMostJson = 48 << 10;
// Random; they find all entries of a kind: journalctl MESSAGE_ID=...
constexpr const char* kHazardId = "3ac21f9b16e34ab797dd7c0e8c88a6ff";
constexpr const char* kCrashId = "1d1030d6e610412b9f165c88d6f65864";

/// The text forms end with line ends, and a report stands between two lines.
std::string trimmed(std::string text) {
  const std::size_t begin = text.find_first_not_of("=\n");
  const std::size_t end = text.find_last_not_of("=\n");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

std::string cut(std::string text, std::size_t most) {
  if (text.size() <= most) {
    return text;
  }
  const std::size_t line = text.rfind('\n', most);
  return text.substr(0, line == std::string::npos ? most : line) + "\n...";
}

report::Style plain(report::Style style) {
  style.color = false;
  style.timestamps = false;
  return style;
}

/// The two kinds of findings, as one; nullptr for other reports.
struct View {
  explicit View(const report::Report& report)
      : hazard(std::get_if<report::HazardReport>(&report)), crash(std::get_if<report::CrashReport>(&report)) {}
  bool any() const { return hazard != nullptr || crash != nullptr; }
  const report::ProcessInfo& process() const { return hazard != nullptr ? hazard->process : crash->process; }
  const report::MapInfo& map() const { return hazard != nullptr ? hazard->map : crash->map; }
  const std::string& id() const { return hazard != nullptr ? hazard->id : crash->id; }
  const std::vector<symbolize::Frame>& stack() const {
    return hazard != nullptr ? hazard->accesses[0].stack : crash->stack;
  }

  const report::HazardReport* hazard;
  const report::CrashReport* crash;
};

std::string kind_of(const View& view) {
  return view.hazard != nullptr
             ? std::string(correlate::classify_pair(view.hazard->accesses[0].op, view.hazard->accesses[1].op))
             : view.crash->crash_class;
}

void put(alert::Labels& labels, const char* name, const std::string& value) {
  if (!value.empty()) {
    labels[name] = escape(value);
  }
}

}  // namespace

alert::Labels labels_of(const correlate::Finding& finding, const report::ProcessInfo& process,
                        const std::string& instance) {
  alert::Labels labels = {{"exe", metrics::exe_label(process.exe)}, {"instance", escape(instance)}};
  if (const auto* crash = std::get_if<correlate::Crash>(&finding)) {
    labels.insert(
        {{"alertname", "MapwatchCrash"}, {"severity", "critical"}, {"id", crash->id}, {"kind", crash->crash_class}});
    return labels;
  }
  const auto& hazard = std::get<correlate::Hazard>(finding);
  labels.insert({{"alertname", "MapwatchConcurrentMapAccess"},
                 {"severity", "warning"},
                 {"id", hazard.id},
                 {"kind", std::string(correlate::classify_pair(hazard.accesses[0].op, hazard.accesses[1].op))}});
  return labels;
}

alert::Labels annotations_of(const report::Report& report, const report::Style& style) {
  const View view(report);
  alert::Labels out;
  if (!view.any()) {
    return out;
  }
  out["summary"] = trimmed(report::to_compact(report, plain(style)));
  out["description"] = cut(trimmed(report::to_text(report, plain(style))), kMostDescription);
  out["pid"] = std::to_string(view.process().pid);
  put(out, "go", view.process().go);
  put(out, "build_id", view.process().build_id);
  put(out, "cgroup", view.process().cgroup);
  put(out, "map_type", view.map().type);
  if (view.hazard != nullptr) {
    out["evidence"] = report::severity_word(view.hazard->severity);
    out["count"] = std::to_string(view.hazard->count);
  } else {
    put(out, "reason", view.crash->reason);
    put(out, "dossier", view.crash->dossier.value_or(""));
  }
  return out;
}

std::int64_t wall_ns_of(const report::Report& report) {
  const View view(report);
  return view.hazard != nullptr ? view.hazard->wall_ns : view.crash != nullptr ? view.crash->wall_ns : 0;
}

std::vector<std::string> journal_fields(const report::Report& report, const report::Style& style) {
  const View view(report);
  if (!view.any()) {
    return {};
  }
  const bool crash = view.crash != nullptr;
  std::vector<std::string> fields = {
      "MESSAGE=" + trimmed(report::to_compact(report, plain(style))),
      fmt::format("MESSAGE_ID={}", crash ? kCrashId : kHazardId),
      fmt::format("PRIORITY={}", crash ? 2 : 4),  // LOG_CRIT, LOG_WARNING
      "SYSLOG_IDENTIFIER=mapwatch",
      fmt::format("OBJECT_PID={}", view.process().pid),
      fmt::format("MAPWATCH_KIND={}", crash ? "crash" : "hazard"),
      "MAPWATCH_ID=" + view.id(),
      "MAPWATCH_CLASS=" + kind_of(view),
      "MAPWATCH_EXE=" + escape(view.process().exe),
      fmt::format("MAPWATCH_PID={}", view.process().pid),
      "MAPWATCH_GO=" + escape(view.process().go),
      "MAPWATCH_MAP_TYPE=" + escape(view.map().type),
  };
  if (!crash) {
    fields.push_back(fmt::format("MAPWATCH_SEVERITY={}", report::severity_word(view.hazard->severity)));
  } else if (view.crash->dossier) {
    fields.push_back("MAPWATCH_DOSSIER=" + escape(*view.crash->dossier));
  }
  if (const symbolize::Frame* frame = report::frame_of_interest(view.stack())) {
    fields.push_back("CODE_FILE=" + report::shown_file(*frame, style));
    fields.push_back(fmt::format("CODE_LINE={}", frame->line));
    fields.push_back("CODE_FUNC=" + escape(frame->func));
  }
  std::string json = trimmed(report::to_json(report, style));
  if (json.size() <= kMostJson) {
    fields.push_back("MAPWATCH_JSON=" + std::move(json));
  }
  return fields;
}

}  // namespace mapwatch::app
