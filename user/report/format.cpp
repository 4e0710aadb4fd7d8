#include "report/format.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/escape.h"
#include "symbolize/classify.h"

namespace mapwatch::report {
namespace {

constexpr std::size_t kBuildIdShown = 16;

}  // namespace

std::string_view op_word(mw_op op) {
  switch (op) {
    case MW_OP_WRITE:
      return "write";
    case MW_OP_READ:
      return "read";
    case MW_OP_ITERATE:
      return "iterate";
    case MW_OP_DELETE:
      return "delete";
    case MW_OP_CLEAR:
      return "clear";
    case MW_OP_CLONE:
      return "clone";
    case MW_OP_NONE:
    case MW_OP_FATAL:
    case MW_OP_THROW:
      break;
  }
  return "unknown";
}

std::string_view op_noun(mw_op op) {
  if (op == MW_OP_ITERATE) {
    return "iteration";
  }
  const std::string_view word = op_word(op);
  return word == "unknown" ? "access" : word;
}

char op_letter(mw_op op) {
  switch (op) {
    case MW_OP_WRITE:
      return 'W';
    case MW_OP_READ:
      return 'R';
    case MW_OP_ITERATE:
      return 'I';
    case MW_OP_DELETE:
      return 'D';
    case MW_OP_CLEAR:
      return 'C';
    case MW_OP_CLONE:
      return 'L';
    case MW_OP_NONE:
    case MW_OP_FATAL:
    case MW_OP_THROW:
      break;
  }
  return '?';
}

std::string_view severity_word(correlate::Severity severity) {
  switch (severity) {
    case correlate::Severity::kProven:
      return "proven";
    case correlate::Severity::kImminent:
      return "imminent";
  }
  return "proven";
}

std::string_view evidence_word(mw_evidence evidence) {
  switch (evidence) {
    case MW_EVIDENCE_MARK:
      return "mark";
    case MW_EVIDENCE_WATCH:
      break;
  }
  return "watch";
}

std::string_view attribution_word(correlate::Attribution attribution) {
  switch (attribution) {
    case correlate::Attribution::kObserved:
      return "observed";
    case correlate::Attribution::kLastWriter:
      return "last_writer";
    case correlate::Attribution::kUnknown:
      return "unknown";
    case correlate::Attribution::kInside:
      return "inside";
  }
  return "unknown";
}

std::string human_duration(std::uint64_t ns) {
  struct Unit {
    std::uint64_t size;
    const char* name;
  };
  static constexpr std::array<Unit, 3> kUnits{{{1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}}};
  if (ns >= 3'600'000'000'000) {
    const std::uint64_t minutes = ns / 60'000'000'000;
    return fmt::format("{}h{:02}m", minutes / 60, minutes % 60);
  }
  if (ns >= 60'000'000'000) {
    const std::uint64_t seconds = ns / 1'000'000'000;
    return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  }
  for (const Unit& unit : kUnits) {
    if (ns >= unit.size) {
      const std::uint64_t tenths = ns / (unit.size / 10);
      return tenths < 100 ? fmt::format("{}.{}{}", tenths / 10, tenths % 10, unit.name)
                          : fmt::format("{}{}", tenths / 10, unit.name);
    }
  }
  return fmt::format("{}ns", ns);
}

std::string ordinal(std::uint64_t n) {
  const bool teen = n % 100 >= 11 && n % 100 <= 13;
  const char* suffix = teen ? "th" : n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : n % 10 == 3 ? "rd" : "th";
  return fmt::format("{}{}", n, suffix);
}

std::string padded_address(std::uint64_t address) { return fmt::format("0x{:012x}", address); }

std::string_view stripped_file(std::string_view file, std::string_view prefix) {
  if (prefix.empty() || !file.starts_with(prefix)) {
    return file;
  }
  file.remove_prefix(prefix.size());
  while (file.starts_with('/')) {
    file.remove_prefix(1);
  }
  return file;
}

std::string shown_file(const symbolize::Frame& frame, const Style& style) {
  return frame.file.empty() ? "?" : escape(stripped_file(frame.file, style.strip_path_prefix));
}

const symbolize::Frame* frame_of_interest(std::span<const symbolize::Frame> stack) {
  const auto user = std::find_if(stack.begin(), stack.end(), [](const symbolize::Frame& frame) { return frame.user; });
  if (user != stack.end()) {
    return &*user;
  }
  return stack.empty() ? nullptr : &stack.front();
}

std::string before_crash(std::uint64_t crash_ns, std::uint64_t began_ns) {
  return began_ns <= crash_ns ? human_duration(crash_ns - began_ns) + " before the crash"
                              : human_duration(began_ns - crash_ns) + " after the crash";
}

std::string how_known(const CrashReport& crash) {
  const AccessReport& other = *crash.other;
  const std::string when = other.time_ns == 0 ? "" : before_crash(crash.time_ns, other.time_ns);
  switch (other.attribution) {
    case correlate::Attribution::kInside:
      return "inside it when the process stood still" + (when.empty() ? when : ", begun " + when);
    case correlate::Attribution::kLastWriter:
      return "the last writer recorded before" + (when.empty() ? when : ", begun " + when);
    case correlate::Attribution::kObserved:
    case correlate::Attribution::kUnknown:
      break;
  }
  return "as mapwatch saw it " + (when.empty() ? "before" : when);
}

std::string process_text(const ProcessInfo& process) {
  std::string text = fmt::format("{} {} {}", process.pid, escape(process.exe), escape(process.go));
  if (!process.build_id.empty()) {
    text += fmt::format(" build-id {}", escape(process.build_id.substr(0, kBuildIdShown)));
  }
  if (process.ns_pid != 0 && process.ns_pid != process.pid) {
    text += fmt::format(" ns-pid {}", process.ns_pid);
  }
  if (!process.cgroup.empty()) {
    text += fmt::format(" cgroup {}", escape(process.cgroup));
  }
  return text;
}

std::string warned_text(const CrashReport& crash) {
  if (!crash.lead_ns || crash.hazard_ids.empty()) {
    return "no hazard of this process was printed before this crash";
  }
  std::string text =
      fmt::format("{} before this crash, finding {}", human_duration(*crash.lead_ns), crash.hazard_ids.front());
  if (crash.hazard_ids.size() > 1) {
    text += fmt::format(" and {} more", crash.hazard_ids.size() - 1);
  }
  text += crash.map_lead_ns ? fmt::format("; of this very map {} before", human_duration(*crash.map_lead_ns))
                            : "; none of this very map";
  return text;
}

std::string advice(std::span<const symbolize::Frame> stack) {
  const symbolize::Frame* frame = frame_of_interest(stack);
  const std::string_view package =
      frame != nullptr && frame->user ? symbolize::package_of(frame->func) : std::string_view();
  return fmt::format("hold one sync.Mutex (or sync.RWMutex) around both accesses; go test -race {}",
                     package.empty() || package == "main" ? "./..." : escape(package));
}

std::string odds_text(const TargetSummary& target) {
  const std::size_t slash = target.exe.rfind('/');
  std::string out =
      fmt::format("{} {}: {}, {:.1f} % of {} {} armed, {:.1f} % of operations seen, cost {:.2f} % (budget {:.2g} %)",
                  target.pid, escape(target.exe.substr(slash == std::string::npos ? 0 : slash + 1)), target.mode,
                  100 * target.armed_share, target.sites, target.by_calls ? "call sites" : "functions",
                  100 * target.seen_share, 100 * target.cost, 100 * target.budget);
  if (target.sharing > 1) {
    out += fmt::format("; {} processes share these probes, ", target.sharing);
    out += target.decides == target.pid ? "this one is nearest to its bound and decides"
                                        : fmt::format("PID {} is nearest to its bound (cost {:.2f} %) and decides",
                                                      target.decides, 100 * target.decides_cost);
  }
  if (target.sites_used == 0) {
    return out + "; no site in use";
  }
  const auto within = [](const std::optional<std::uint64_t>& ns) {
    return ns ? "within " + human_duration(*ns) : "never";
  };
  out += fmt::format("; a race at one of {} sites in use is seen {} at half of them, {} at 95 %", target.sites_used,
                     within(target.detect_half_ns), within(target.detect_most_ns));
  return target.sites_never > 0 ? out + fmt::format(", never at {}", target.sites_never) : out;
}

}  // namespace mapwatch::report
