#include "report/builder.h"

#include <array>
#include <string_view>
#include <utility>

namespace mapwatch::report {
namespace {

/// Go 1.18/1.19 hand generic code a shape type: the other side's may be the real one.
std::string type_of(const correlate::Hazard& hazard, symbolize::Symbolizer& symbols) {
  std::string type = hazard.map_type == 0 ? "" : symbols.type_name(hazard.tgid, hazard.map_type);
  const bool vague = type.empty() || type.find("go.shape.") != std::string::npos;
  if (vague && hazard.map_type_other != 0) {
    std::string other = symbols.type_name(hazard.tgid, hazard.map_type_other);
    if (!other.empty()) {
      return other;
    }
  }
  return type;
}

/// The go statement that made the goroutine. The main goroutine was made by the runtime's start, which tells nothing:
/// Go prints no "created by" for it either (runtime/traceback.go, goid != 1).
std::optional<symbolize::Frame> created_by(const correlate::Access& access, std::uint32_t tgid,
                                           symbolize::Symbolizer& symbols) {
  if (access.gopc == 0 || access.goid == 1) {
    return std::nullopt;
  }
  std::vector<symbolize::Frame> frames = symbols.at(tgid, access.gopc);
  if (frames.empty()) {
    return std::nullopt;
  }
  return std::move(frames.front());
}

AccessReport build_access(const correlate::Access& access, std::uint32_t tgid, symbolize::Symbolizer& symbols) {
  AccessReport report;
  report.op = access.op;
  report.attribution = access.attribution;
  report.goid = access.goid;
  report.tid = access.tid;
  report.time_ns = access.time_ns;
  report.stack_cut = access.stack_cut;
  if (access.attribution == correlate::Attribution::kLastWriter && !access.stack.empty()) {
    report.stack = symbols.at(tgid, access.stack.front());
  } else if (!access.stack.empty()) {
    report.stack = symbols.stack(tgid, access.stack);
  }
  report.created_by = created_by(access, tgid, symbols);
  return report;
}

mw_op op_of_class(std::string_view crash_class) {
  static constexpr std::array<std::pair<std::string_view, mw_op>, 4> kOps{{
      {"write_write", MW_OP_WRITE},
      {"read_write", MW_OP_READ},
      {"iterate_write", MW_OP_ITERATE},
      {"clone_write", MW_OP_CLONE},
  }};
  for (const auto& [name, op] : kOps) {
    if (crash_class == name) {
      return op;
    }
  }
  return MW_OP_NONE;
}

}  // namespace

mw_op op_of_stack(const std::vector<symbolize::Frame>& stack) {
  // Prefixes; the more special first. (*Map).PutSlot and friends: internal/runtime/maps/map.go (Go >= 1.24).
  static constexpr std::array<std::pair<std::string_view, mw_op>, 17> kFunctions{{
      {"runtime.mapassign", MW_OP_WRITE},
      {"runtime.mapdelete", MW_OP_DELETE},
      {"runtime.mapaccess", MW_OP_READ},
      {"runtime.mapclear", MW_OP_CLEAR},
      {"runtime.mapclone", MW_OP_CLONE},
      {"runtime.mapiter", MW_OP_ITERATE},
      {"runtime.mapIter", MW_OP_ITERATE},
      {"internal/runtime/maps.runtime_mapassign", MW_OP_WRITE},
      {"internal/runtime/maps.runtime_mapaccess", MW_OP_READ},
      {"internal/runtime/maps.runtime_mapdelete", MW_OP_DELETE},
      {"internal/runtime/maps.(*Map).Put", MW_OP_WRITE},
      {"internal/runtime/maps.(*Map).Delete", MW_OP_DELETE},
      {"internal/runtime/maps.(*Map).Clear", MW_OP_CLEAR},
      {"internal/runtime/maps.(*Map).Clone", MW_OP_CLONE},
      {"internal/runtime/maps.(*Map).Get", MW_OP_READ},
      {"internal/runtime/maps.(*Map).get", MW_OP_READ},
      {"internal/runtime/maps.(*Iter)", MW_OP_ITERATE},
  }};
  for (const symbolize::Frame& frame : stack) {
    for (const auto& [prefix, op] : kFunctions) {
      if (frame.func.starts_with(prefix)) {
        return op;
      }
    }
    if (frame.user) {
      break;
    }
  }
  return MW_OP_NONE;
}

HazardReport build_hazard(const correlate::Hazard& hazard, symbolize::Symbolizer& symbols, const Subject& subject) {
  HazardReport report;
  report.id = hazard.id;
  report.time_ns = hazard.time_ns;
  report.wall_ns = static_cast<std::int64_t>(hazard.time_ns) + subject.wall_offset_ns;
  report.severity = hazard.severity;
  report.evidence = hazard.evidence;
  report.count = hazard.count;
  report.overlap_ns = hazard.overlap_ns;
  report.partner = hazard.partner;
  report.process = subject.info;
  report.map = {hazard.map, type_of(hazard, symbols), hazard.map_len};
  report.accesses[0] = build_access(hazard.accesses[0], hazard.tgid, symbols);
  report.accesses[1] = build_access(hazard.accesses[1], hazard.tgid, symbols);
  return report;
}

CrashReport build_crash(const correlate::Crash& crash, symbolize::Symbolizer& symbols, const Subject& subject,
                        const PrintedLog& printed) {
  CrashReport report;
  report.id = crash.id;
  report.time_ns = crash.time_ns;
  report.wall_ns = static_cast<std::int64_t>(crash.time_ns) + subject.wall_offset_ns;
  report.reason = crash.reason;
  report.crash_class = crash.crash_class;
  PrintedLog::Lead lead = printed.lead(crash.tgid, crash.map, crash.time_ns);
  report.lead_ns = lead.process_ns;
  report.map_lead_ns = lead.map_ns;
  report.hazard_ids = std::move(lead.ids);
  report.prior = std::move(lead.all);
  report.frozen_ns = crash.frozen_ns;
  report.process = subject.info;
  report.map.addr = crash.map;
  report.map_by_hazard = crash.map_by_hazard;
  report.map_by_arguments = crash.map_by_arguments;
  report.map.type = crash.map_type == 0 ? "" : symbols.type_name(crash.tgid, crash.map_type);
  report.map.len = crash.map_len;
  AccessReport access = build_access(crash.access, crash.tgid, symbols);
  report.goid = access.goid;
  report.tid = access.tid;
  report.stack_cut = access.stack_cut;
  report.created_by = std::move(access.created_by);
  report.stack = std::move(access.stack);
  if (const mw_op by_class = op_of_class(crash.crash_class); by_class != MW_OP_NONE) {
    const mw_op told = op_of_stack(report.stack);  // a delete dies of "concurrent map writes", too
    report.op = told != MW_OP_NONE ? told : by_class;
  }
  if (crash.other) {
    report.other = build_access(*crash.other, crash.tgid, symbols);
  }
  return report;
}

}  // namespace mapwatch::report
