// One line an object, for a terminal that scrolls and for grep.
#include <fmt/format.h>

#include "base/escape.h"
#include "base/rfc3339.h"
#include "report/format.h"
#include "report/report.h"

namespace mapwatch::report {
namespace {

std::string name_of(const ProcessInfo& process) {
  const std::size_t slash = process.exe.rfind('/');
  const std::string base = slash == std::string::npos ? process.exe : process.exe.substr(slash + 1);
  return fmt::format("{}[{}]", base.empty() ? "?" : escape(base), process.pid);
}

std::string place(const std::vector<symbolize::Frame>& stack, const Style& style) {
  const symbolize::Frame* frame = frame_of_interest(stack);
  return frame == nullptr ? "?" : fmt::format("{} {}:{}", escape(frame->func), shown_file(*frame, style), frame->line);
}

std::string map_of(const MapInfo& map) {
  return fmt::format("{} {}", map.type.empty() ? "?" : escape(map.type),
                     map.addr == 0 ? "?" : fmt::format("0x{:x}", map.addr));
}

std::string_view severity_title(correlate::Severity severity) {
  switch (severity) {
    case correlate::Severity::kProven:
      return "PROVEN";
    case correlate::Severity::kImminent:
      return "IMMINENT";
  }
  return "PROVEN";
}

class CompactPrinter {
 public:
  explicit CompactPrinter(const Style& style) : style_(style) {}

  std::string operator()(const HazardReport& hazard) const {
    const AccessReport& one = hazard.accesses[0];
    const AccessReport& two = hazard.accesses[1];
    return fmt::format("{}{} {} {}/{} {} {} <> {} x{} {}\n", stamp(hazard.wall_ns), name_of(hazard.process),
                       title(std::string(severity_title(hazard.severity))), op_letter(one.op), op_letter(two.op),
                       map_of(hazard.map), place(one.stack, style_), place(two.stack, style_), hazard.count, hazard.id);
  }

  std::string operator()(const CrashReport& crash) const {
    return fmt::format("{}{} {} {}/{} {} {} <> {} lead {} {}: {}\n", stamp(crash.wall_ns), name_of(crash.process),
                       title("CRASH"), op_letter(crash.op), crash.other ? op_letter(crash.other->op) : '?',
                       map_of(crash.map), place(crash.stack, style_),
                       crash.other ? place(crash.other->stack, style_) : "?",
                       crash.lead_ns ? human_duration(*crash.lead_ns) : "none", crash.id, escape(crash.reason));
  }

  std::string operator()(const LostReport& lost) const {
    return fmt::format("lost {} {}\n", escape(lost.stage), lost.count);
  }

  std::string operator()(const SummaryReport& sum) const {
    std::string out = fmt::format(
        "summary {} hits {} dwells {} hazards {} crashes {} suppressed {} lost {} sites {}/{} cost {:.2f}% own {:.2f}s "
        "{:.1f}MB\n",
        human_duration(sum.duration_ns), sum.hits, sum.dwells, sum.hazards, sum.crashes, sum.suppressed, sum.lost,
        sum.sites_armed, sum.sites, 100 * sum.target_cost, sum.own_cpu_s, static_cast<double>(sum.own_rss_bytes) / 1e6);
    for (std::size_t i = 0; i < std::min(sum.targets.size(), kToldTargets); ++i) {
      out += fmt::format("target {}\n", odds_text(sum.targets[i]));
    }
    return out;
  }

 private:
  std::string stamp(std::int64_t wall_ns) const { return style_.timestamps ? rfc3339(wall_ns) + ' ' : std::string(); }
  std::string title(const std::string& word) const {
    return style_.color ? fmt::format("\x1b[1;31m{}\x1b[0m", word) : word;
  }

  const Style& style_;
};

}  // namespace

std::string to_compact(const Report& report, const Style& style) { return std::visit(CompactPrinter(style), report); }

}  // namespace mapwatch::report
