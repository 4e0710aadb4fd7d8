// The grammar of Go's race detector (compiler-rt/lib/tsan/rtl/tsan_report.cpp, SANITIZER_GO), so that people and their
// tools know it. No logic: what is said was decided by the builder.
#include <fmt/format.h>

#include "base/escape.h"
#include "base/rfc3339.h"
#include "report/format.h"
#include "report/report.h"

namespace mapwatch::report {
namespace {

constexpr std::string_view kRule = "==================\n";

class TextPrinter {
 public:
  explicit TextPrinter(const Style& style) : style_(style) {}

  void operator()(const HazardReport& hazard) {
    out_ += kRule;
    heading("WARNING: CONCURRENT MAP ACCESS");
    first_access(hazard);
    out_ += '\n';
    other_access(hazard);
    out_ += '\n';
    for (const AccessReport& access : hazard.accesses) {
      created(access.goid, access.created_by);
    }
    time(hazard.wall_ns);
    line("Process", process_text(hazard.process));
    line("Evidence",
         fmt::format("{}; {} time; events lost {}", evidence(hazard), ordinal(hazard.count), hazard.lost_events));
    line("Finding", fmt::format("{} severity={}", hazard.id, severity_word(hazard.severity)));
    line("Next", advice(hazard.accesses[0].stack));
    out_ += kRule;
  }

  void operator()(const CrashReport& crash) {
    out_ += kRule;
    heading(fmt::format("CRASH CAPTURED: fatal error: {}", escape(crash.reason)));
    if (crash.op == MW_OP_NONE) {  // no map error
      out_ += fmt::format("Crashing goroutine {}{}:\n", crash.goid, thread(crash.tid));
    } else {
      out_ += fmt::format("Crashing {}{} by goroutine {}{}:  <- all that Go prints\n", op_noun(crash.op),
                          at_map(crash.map, true), crash.goid, thread(crash.tid));
    }
    stack(crash.stack, crash.stack_cut, "[stack not captured]");
    out_ += '\n';
    other_side(crash);
    created(crash.goid, crash.created_by);
    if (crash.other) {
      created(crash.other->goid, crash.other->created_by);
    }
    time(crash.wall_ns);
    if (crash.map_by_hazard) {
      line("Map", "told by this goroutine's hazard at the same call just before, not by the crashing frame");
    }
    if (crash.map_by_arguments) {
      line("Map", "no probe saw this operation begin; the arguments of the crashing call tell its map");
    }
    if (crash.op != MW_OP_NONE) {
      line("Warned", warned_text(crash));
    }
    line("Process", process_text(crash.process));
    line("Finding", fmt::format("{} class={}", crash.id, escape(crash.crash_class)));
    if (crash.frozen_ns) {
      line("Frozen", fmt::format("for {}", human_duration(*crash.frozen_ns)));
    }
    if (crash.dossier) {
      line("Dossier", escape(*crash.dossier));
    }
    if (crash.op != MW_OP_NONE) {
      line("Next", advice(crash.stack));
    }
    out_ += kRule;
  }

  void operator()(const LostReport& lost) {
    if (lost.stage == "table") {  // no event: nothing had happened yet
      out_ +=
          fmt::format("mapwatch: {} could not be set, another map had the place (table); results may miss hazards\n",
                      counted(lost.count, "watch", "es"));
      return;
    }
    out_ += fmt::format("mapwatch: {} lost ({}); results may miss hazards\n", counted(lost.count, "event"),
                        escape(lost.stage));
  }

  void operator()(const SummaryReport& sum) {
    out_ += fmt::format("mapwatch: {} watched, {} hits, {} dwells, {} sites ({} armed, {:.1f} %)\n",
                        human_duration(sum.duration_ns), sum.hits, sum.dwells, sum.sites, sum.sites_armed,
                        100 * sum.armed_share);
    out_ += fmt::format("mapwatch: {}, {}, {} suppressed, {} lost\n", counted(sum.hazards, "hazard"),
                        counted(sum.crashes, "crash", "es"), sum.suppressed, counted(sum.lost, "event"));
    out_ +=
        fmt::format("mapwatch: cost {:.2f} % of the target's CPU time ({:.0f} ns a hit); own {:.2f} s CPU, {:.1f} MB\n",
                    100 * sum.target_cost, sum.ns_per_hit, sum.own_cpu_s, static_cast<double>(sum.own_rss_bytes) / 1e6);
    for (std::size_t i = 0; i < std::min(sum.targets.size(), kToldTargets); ++i) {
      out_ += fmt::format("mapwatch: {}\n", odds_text(sum.targets[i]));
    }
    if (sum.targets.size() > kToldTargets) {
      out_ += fmt::format("mapwatch: {} more processes; -o json tells of all\n", sum.targets.size() - kToldTargets);
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void heading(const std::string& text) {
    out_ += style_.color ? fmt::format("\x1b[1;31m{}\x1b[0m\n", text) : text + '\n';
  }

  void line(std::string_view name, const std::string& text) {
    out_ += fmt::format("{:<10}{}\n", fmt::format("{}:", name), text);
  }

  static std::string counted(std::uint64_t n, std::string_view noun, std::string_view plural = "s") {
    return fmt::format("{} {}{}", n, noun, n == 1 ? "" : plural);
  }

  static std::string thread(std::uint32_t tid) { return tid == 0 ? "" : fmt::format(" [thread {}]", tid); }

  static std::string at_map(const MapInfo& map, bool described) {
    if (map.addr == 0) {
      return " at an unknown map";
    }
    std::string text = fmt::format(" at map {}", padded_address(map.addr));
    if (described) {
      text += fmt::format(" ({}", map.type.empty() ? "type unknown" : escape(map.type));
      text += map.len ? fmt::format(", len {})", *map.len) : ")";
    }
    return text;
  }

  void first_access(const HazardReport& hazard) {
    const AccessReport& access = hazard.accesses[0];
    std::string noun(op_noun(access.op));
    noun[0] = static_cast<char>(noun[0] - 'a' + 'A');
    out_ += fmt::format("{}{} by goroutine {}{}:\n", noun, at_map(hazard.map, true), access.goid, thread(access.tid));
    stack(access.stack, access.stack_cut, "[stack not captured]");
  }

  void other_access(const HazardReport& hazard) {
    const AccessReport& access = hazard.accesses[1];
    out_ += fmt::format("Overlapping {}{} by ", op_noun(access.op), at_map(hazard.map, false));
    out_ += access.goid == 0 ? "an unknown goroutine" : fmt::format("goroutine {}{}", access.goid, thread(access.tid));
    if (access.attribution == correlate::Attribution::kLastWriter) {
      out_ += ", the last recorded writer";
    }
    if (hazard.evidence == MW_EVIDENCE_MARK) {
      out_ += " (a write is under way)";
    } else if (hazard.overlap_ns != 0) {
      out_ += fmt::format(", began {} earlier, still inside", human_duration(hazard.overlap_ns));
    }
    out_ += ":\n";
    stack(access.stack, access.stack_cut, missing(hazard.partner));
    if (access.attribution == correlate::Attribution::kLastWriter) {
      out_ += fmt::format("  [{}]\n", kOneFrame);
    }
  }

  void other_side(const CrashReport& crash) {
    if (crash.op == MW_OP_NONE) {
      return;
    }
    if (crash.other) {
      const AccessReport& other = *crash.other;
      const bool recorded = other.attribution == correlate::Attribution::kLastWriter;
      out_ += fmt::format("Overlapping {} by goroutine {}{}, {}:  <- what Go does not print\n", op_noun(other.op),
                          other.goid, thread(other.tid), how_known(crash));
      stack(other.stack, other.stack_cut, "[stack not captured]");
      out_ += recorded ? fmt::format("  [{}]\n", kOneFrame) : "";
    } else {
      out_ += fmt::format("Overlapping write by an unknown goroutine:\n  [{}]\n", kNoWriter);
    }
    out_ += '\n';
  }

  static std::string_view missing(correlate::Partner partner) {
    switch (partner) {
      case correlate::Partner::kLost:
        return "[stack not captured: this side's half of the report was lost]";
      case correlate::Partner::kCrashBetween:
        return "[stack not captured: the process crashed before this side was told]";
      case correlate::Partner::kComplete:
        break;
    }
    return "[stack not captured]";
  }

  static std::string evidence(const HazardReport& hazard) {
    switch (hazard.evidence) {
      case MW_EVIDENCE_MARK:
        return "the map's writing mark was set by another goroutine (Go's own check ends the process on this)";
      case MW_EVIDENCE_WATCH:
        break;
    }
    return "overlap in time observed, not inferred (Go's own check ends the process when it sees this)";
  }

  void stack(const std::vector<symbolize::Frame>& frames, bool cut, std::string_view when_missing) {
    if (frames.empty()) {
      out_ += fmt::format("  {}\n", when_missing);
    }
    for (const symbolize::Frame& frame : frames) {
      frame_lines(frame, frame.user);
    }
    if (cut) {
      out_ += "  [stack cut here]\n";
    }
  }

  void frame_lines(const symbolize::Frame& frame, bool marked) {
    const std::string func = escape(frame.func);
    out_ += marked && style_.color ? fmt::format("  \x1b[1m{}()\x1b[0m\n", func) : fmt::format("  {}()\n", func);
    out_ += fmt::format("      {}:{} +0x{:x}{}\n", shown_file(frame, style_), frame.line, frame.offset,
                        marked ? "  <- first user frame" : "");
  }

  void created(std::uint64_t goid, const std::optional<symbolize::Frame>& frame) {
    if (frame) {
      out_ += fmt::format("Goroutine {} (running) created at:\n", goid);
      frame_lines(*frame, false);
      out_ += '\n';
    }
  }

  void time(std::int64_t wall_ns) {
    if (style_.timestamps) {
      line("Time", rfc3339(wall_ns));
    }
  }

  const Style& style_;
  std::string out_;
};

}  // namespace

std::string to_text(const Report& report, const Style& style) {
  TextPrinter printer(style);
  std::visit(printer, report);
  return printer.take();
}

}  // namespace mapwatch::report
