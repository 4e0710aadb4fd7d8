#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tui/render.h"

namespace mapwatch::tui {

namespace {

using Json = nlohmann::ordered_json;

double finite(double value) { return std::isfinite(value) ? value : 0; }

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json tally_json(const Tally& of) { return {{"minute", of.minute}, {"hour", of.hour}, {"all", of.all}}; }

Json hazard_json(const Hazard& of) {
  Json json = {{"id", of.id}, {"severity", of.severity}, {"seen", tally_json(of.seen)}, {"last_ns", of.last_ns}};
  Json sides = Json::array();
  for (const Side& side : of.sides) {
    sides.push_back({{"op", side.op}, {"func", side.func}, {"file", side.file}, {"line", side.line}});
  }
  json["sides"] = std::move(sides);
  return json;
}

Json site_json(const Site& of) {
  Json json = Json::object();
  json["func"] = of.function;
  json["file"] = of.file;
  json["line"] = of.line;
  json["op"] = of.op;
  json["place"] = of.place;
  json["hits"] = of.hits;
  json["hits_per_s"] = finite(of.hits_per_s);
  json["ops_per_s"] = finite(of.ops_per_s);
  json["armed_share"] = finite(of.armed_share);
  json["cost"] = finite(of.cost_share);
  const bool never = of.detect_ns == kNever;
  json["detect_ns"] = never ? Json(nullptr) : or_null(of.detect_ns);
  json["never"] = never;
  return json;
}

Json target_json(const Target& of) {
  Json json = Json::object();
  json["schema_version"] = 1;
  json["kind"] = "target";
  json["pid"] = of.pid;
  json["comm"] = of.comm;
  json["exe"] = of.exe;
  json["go"] = of.go;
  json["watched"] = of.watched;
  json["state"] = of.state;
  json["mode"] = of.mode;
  json["ops_per_s"] = or_null(of.ops_per_s);
  json["writes_per_s"] = or_null(of.writes_per_s);
  json["estimated"] = of.estimated;
  json["hits_per_s"] = finite(of.hits_per_s);
  json["hits"] = of.hits;
  json["cost"] = finite(of.cost_share);
  json["budget"] = finite(of.budget);
  json["sites"] = of.sites;
  json["by_calls"] = of.by_calls;
  json["armed_share"] = finite(of.armed_share);
  json["seen_share"] = finite(of.seen_share);
  json["sharing"] = of.sharing;
  json["decides"] = of.sharing > 1 ? Json(of.decides) : Json(nullptr);
  json["decides_cost"] = of.sharing > 1 ? Json(finite(of.decides_cost)) : Json(nullptr);
  json["hazards"] = tally_json(of.hazards);
  json["crashes"] = of.crashes;
  json["last_ns"] = or_null(of.last_ns);
  json["age_ns"] = of.age_ns;
  json["found"] = Json::array();
  for (const Hazard& each : of.found) {
    json["found"].push_back(hazard_json(each));
  }
  for (const Site& each : of.places) {
    json["places"].push_back(site_json(each));
  }
  return json;
}

}  // namespace

std::string json_lines(const Snapshot& snapshot) {
  std::string out;
  for (const Target& each : snapshot.targets) {
    out += target_json(each).dump(-1, ' ', true, Json::error_handler_t::replace) + '\n';
  }
  return out;
}

}  // namespace mapwatch::tui
