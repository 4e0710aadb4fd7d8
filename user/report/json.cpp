// interface.md, "JSON": its keys in its order; what it does not list comes after. One object a line.
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/rfc3339.h"
#include "report/format.h"
#include "report/report.h"

namespace mapwatch::report {
namespace {

using Json = nlohmann::ordered_json;

Json hex(std::uint64_t address) { return fmt::format("0x{:x}", address); }

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

double finite(double value) { return std::isfinite(value) ? value : 0; }

class JsonPrinter {
 public:
  explicit JsonPrinter(const Style& style) : style_(style) {}

  Json operator()(const HazardReport& hazard) const {
    Json json = head("hazard");
    json["id"] = hazard.id;
    json["time"] = rfc3339(hazard.wall_ns);
    json["time_ns"] = hazard.time_ns;
    json["printed_ns"] = hazard.printed_ns;
    json["severity"] = severity_word(hazard.severity);
    json["evidence"] = evidence_word(hazard.evidence);
    json["count"] = hazard.count;
    json["process"] = process(hazard.process);
    json["map"] = map(hazard.map);
    json["accesses"] = Json::array({access(hazard.accesses[0]), access(hazard.accesses[1])});
    json["overlap_ns"] = hazard.overlap_ns;
    json["lost_events"] = hazard.lost_events;
    json["partner"] = partner(hazard.partner);
    return json;
  }

  Json operator()(const CrashReport& crash) const {
    Json json = head("crash");
    json["id"] = crash.id;
    json["time_ns"] = crash.time_ns;
    json["reason"] = crash.reason;
    json["class"] = crash.crash_class;
    json["lead_ns"] = or_null(crash.lead_ns);
    json["map_lead_ns"] = or_null(crash.map_lead_ns);
    json["process"] = process(crash.process);
    json["map"] = map(crash.map);
    json["goid"] = crash.goid;
    json["stack"] = stack(crash.stack);
    json["other"] = nullptr;
    if (crash.other) {
      Json other = Json::object();
      other["goid"] = crash.other->goid;
      other["stack"] = stack(crash.other->stack);
      other["op"] = op_word(crash.other->op);
      other["tid"] = crash.other->tid;
      other["attribution"] = attribution_word(crash.other->attribution);
      other["created_by"] = created_by(crash.other->created_by);
      const std::uint64_t began = crash.other->time_ns;
      other["before_crash_ns"] = began == 0 ? Json(nullptr) : Json(static_cast<std::int64_t>(crash.time_ns - began));
      json["other"] = std::move(other);
    }
    json["dossier"] = or_null(crash.dossier);
    json["frozen_ns"] = or_null(crash.frozen_ns);
    json["time"] = rfc3339(crash.wall_ns);
    json["printed_ns"] = crash.printed_ns;
    json["tid"] = crash.tid;
    json["op"] = op_word(crash.op);
    json["created_by"] = created_by(crash.created_by);
    json["hazards"] = crash.hazard_ids;
    json["map_by_hazard"] = crash.map_by_hazard;
    json["map_by_arguments"] = crash.map_by_arguments;
    return json;
  }

  Json operator()(const LostReport& lost) const {
    Json json = head("lost");
    json["stage"] = lost.stage;
    json["count"] = lost.count;
    return json;
  }

  Json operator()(const SummaryReport& sum) const {
    Json json = head("summary");
    json["duration_ns"] = sum.duration_ns;
    json["hits"] = sum.hits;
    json["dwells"] = sum.dwells;
    json["hazards"] = sum.hazards;
    json["crashes"] = sum.crashes;
    json["lost"] = sum.lost;
    json["sites"] = sum.sites;
    json["sites_armed"] = sum.sites_armed;
    json["armed_share"] = finite(sum.armed_share);
    json["ns_per_hit"] = finite(sum.ns_per_hit);
    json["target_cost"] = finite(sum.target_cost);
    json["own_cpu_s"] = finite(sum.own_cpu_s);
    json["own_rss_bytes"] = sum.own_rss_bytes;
    json["suppressed"] = sum.suppressed;
    for (const TargetSummary& each : sum.targets) {
      json["targets"].push_back(target(each));
    }
    return json;
  }

 private:
  static Json head(const char* kind) {
    Json json = Json::object();
    json["schema_version"] = 1;
    json["kind"] = kind;
    return json;
  }

  static Json process(const ProcessInfo& info) {
    Json json = Json::object();
    json["pid"] = info.pid;
    json["ns_pid"] = info.ns_pid;
    json["exe"] = info.exe;
    json["go"] = info.go;
    json["build_id"] = info.build_id;
    json["cgroup"] = info.cgroup;
    return json;
  }

  static Json target(const TargetSummary& of) {
    Json json = Json::object();
    json["pid"] = of.pid;
    json["exe"] = of.exe;
    json["mode"] = of.mode;
    json["sites"] = of.sites;
    json["by_calls"] = of.by_calls;
    json["sites_always"] = of.sites_always;
    json["sites_visited"] = of.sites_visited;
    json["armed_share"] = finite(of.armed_share);
    json["seen_share"] = finite(of.seen_share);
    json["cost"] = finite(of.cost);
    json["budget"] = finite(of.budget);
    json["sites_used"] = of.sites_used;
    json["sites_never"] = of.sites_never;
    json["detect_half_ns"] = or_null(of.detect_half_ns);
    json["detect_most_ns"] = or_null(of.detect_most_ns);
    json["sharing"] = of.sharing;
    json["decides"] = of.sharing > 1 ? Json(of.decides) : Json(nullptr);
    json["decides_cost"] = of.sharing > 1 ? Json(finite(of.decides_cost)) : Json(nullptr);
    return json;
  }

  static Json map(const MapInfo& info) {
    Json json = Json::object();
    json["addr"] = info.addr == 0 ? Json(nullptr) : hex(info.addr);
    json["type"] = text_or_null(info.type);
    json["len"] = or_null(info.len);
    return json;
  }

  Json frame(const symbolize::Frame& from) const {
    Json json = Json::object();
    json["func"] = from.func;
    json["file"] = stripped_file(from.file, style_.strip_path_prefix);
    json["line"] = from.line;
    json["pc"] = hex(from.pc);
    json["inlined"] = from.inlined;
    json["user"] = from.user;
    return json;
  }

  Json stack(const std::vector<symbolize::Frame>& frames) const {
    Json json = Json::array();
    for (const symbolize::Frame& from : frames) {
      json.push_back(frame(from));
    }
    return json;
  }

  Json created_by(const std::optional<symbolize::Frame>& from) const {
    if (!from) {
      return nullptr;
    }
    Json json = Json::object();
    json["func"] = from->func;
    json["file"] = stripped_file(from->file, style_.strip_path_prefix);
    json["line"] = from->line;
    return json;
  }

  Json access(const AccessReport& from) const {
    Json json = Json::object();
    json["op"] = op_word(from.op);
    json["goid"] = from.goid;
    json["tid"] = from.tid;
    json["stack"] = stack(from.stack);
    json["created_by"] = created_by(from.created_by);
    json["attribution"] = attribution_word(from.attribution);
    json["stack_cut"] = from.stack_cut;
    return json;
  }

  static const char* partner(correlate::Partner partner) {
    switch (partner) {
      case correlate::Partner::kComplete:
        return "complete";
      case correlate::Partner::kLost:
        return "lost";
      case correlate::Partner::kCrashBetween:
        return "crash_between";
    }
    return "complete";
  }

  const Style& style_;
};

}  // namespace

std::string to_json(const Report& report, const Style& style) {
  const Json json = std::visit(JsonPrinter(style), report);
  // ASCII only: C1 controls and marks that reorder text would reach a terminal as they are, else.
  return json.dump(-1, ' ', true, Json::error_handler_t::replace) + '\n';
}

}  // namespace mapwatch::report
