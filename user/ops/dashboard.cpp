#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "ops/exports.h"

namespace mapwatch::ops {
namespace {

using Json = nlohmann::ordered_json;

/// Grafana's row is 24 wide.
constexpr int kRow = 24;

struct Query {
  std::string_view expression;  ///< $of: the executables and hosts that are chosen, $on: the hosts
  std::string_view legend;
};

struct Panel {
  std::string_view type;  ///< "row": what stands below it up to the next
  std::string_view title;
  std::string_view unit;  ///< Grafana's name of it
  int width = kRow;
  Query queries[2] = {};  ///< the second may be empty
  std::string_view description = {};
};

// clang-format off
const Panel kPanels[] = {
    {"row", "Findings", ""},
    {"stat", "Hazards", "short", 4, {{"sum(increase(mapwatch_hazards_total{$of}[$__range]))", ""}}, "Sightings of two goroutines in one map."},
    {"stat", "Places", "short", 4, {{"sum(mapwatch_hazard_sites{$on})", ""}}, "Distinct pairs of places in a program, since mapwatch's start."},
    {"stat", "Crashes", "short", 4, {{"sum(increase(mapwatch_crashes_total{$of}[$__range]))", ""}}, "Processes seen on Go's fatal path."},
    {"stat", "Time without hazard", "percentunit", 4, {{"1 - sum(increase(mapwatch_hazard_seconds_total{$of}[$__range])) / (sum(increase(mapwatch_watched_seconds_total{$of}[$__range])) > 0)", ""}}, "Of the time watched; what an objective is about."},
    {"stat", "Processes watched", "short", 4, {{"sum(mapwatch_targets{$on,state=\"watched\"})", ""}}},
    {"stat", "Events lost", "short", 4, {{"sum(increase(mapwatch_events_lost_total{$on}[$__range]))", ""}}, "A hazard may have been among them."},
    {"timeseries", "Hazards per minute", "short", 12, {{"60 * sum by (exe, kind) (rate(mapwatch_hazards_total{$of}[$__rate_interval]))", "{{exe}} {{kind}}"}}},
    {"timeseries", "Share of the time with hazards", "percentunit", 12, {{"sum by (exe) (rate(mapwatch_hazard_seconds_total{$of}[$__rate_interval])) / (sum by (exe) (rate(mapwatch_watched_seconds_total{$of}[$__rate_interval])) > 0)", "{{exe}}"}}},
    {"timeseries", "Crashes", "short", 8, {{"sum by (exe, reason) (increase(mapwatch_crashes_total{$of}[$__rate_interval]))", "{{exe}} {{reason}}"}}},
    {"timeseries", "Dossiers", "short", 8, {{"sum by (result) (increase(mapwatch_dossiers_total{$on}[$__rate_interval]))", "{{result}}"}}, "none: the process was not held."},
    {"timeseries", "Time that crashing processes were held", "s", 8,
     {{"histogram_quantile(0.5, sum by (le) (rate(mapwatch_freeze_duration_seconds_bucket{$on}[$__rate_interval])))", "half"},
      {"histogram_quantile(0.99, sum by (le) (rate(mapwatch_freeze_duration_seconds_bucket{$on}[$__rate_interval])))", "99 %"}}},
    {"timeseries", "Suppressed sightings per minute", "short", 12, {{"60 * sum by (exe) (rate(mapwatch_suppressed_total{$of}[$__rate_interval]))", "{{exe}}"}}},
    {"table", "Watched programs", "short", 12, {{"count by (exe, go_version, mode, state) (mapwatch_target_info{$of})", ""}}, "mode: how many of the operations are seen."},

    {"row", "What watching costs", ""},
    {"timeseries", "Cost of its budget", "percentunit", 8, {{"max by (exe) (mapwatch_overhead_ratio{$of} / (mapwatch_budget_ratio{$of} > 0))", "{{exe}}"}}, "100 %: the process that pays most pays just its budget."},
    {"timeseries", "Cost of its CPU time", "percentunit", 8, {{"max by (exe) (mapwatch_overhead_ratio{$of})", "{{exe}}"}}},
    {"timeseries", "Share of the operations that is seen", "percentunit", 8, {{"min by (exe) (mapwatch_sampling_ratio{$of})", "{{exe}}"}}},
    {"timeseries", "Map operations seen", "ops", 8, {{"sum(rate(mapwatch_operations_total{$on}[$__rate_interval]))", "operations"}}},
    {"timeseries", "Traps", "ops", 8, {{"sum by (probe) (rate(mapwatch_probe_hits_total{$on}[$__rate_interval]))", "{{probe}}"}}},
    {"timeseries", "Probes armed", "short", 8, {{"sum by (probe) (mapwatch_probe_attached{$on})", "{{probe}}"}}},
    {"timeseries", "Goroutines held", "s", 12, {{"sum by (instance) (rate(mapwatch_held_seconds_total{$on}[$__rate_interval]))", "{{instance}}"}}, "Seconds of holding in a second, summed over goroutines."},
    {"timeseries", "Dwells", "ops", 12, {{"sum by (instance) (rate(mapwatch_dwells_total{$on}[$__rate_interval]))", "{{instance}}"}}},

    {"row", "mapwatch itself", ""},
    {"timeseries", "Processes", "short", 8, {{"sum by (state) (mapwatch_targets{$on})", "{{state}}"}}},
    {"timeseries", "Processes that came, per minute", "short", 8, {{"60 * sum by (result) (rate(mapwatch_processes_total{$on}[$__rate_interval]))", "{{result}}"}}},
    {"timeseries", "Processes that could not be watched", "short", 8, {{"sum by (reason) (increase(mapwatch_attach_errors_total{$on}[$__rate_interval]))", "{{reason}}"}}},
    {"timeseries", "Until all probes stood", "s", 8,
     {{"histogram_quantile(0.5, sum by (le) (rate(mapwatch_attach_duration_seconds_bucket{$on}[$__rate_interval])))", "half"},
      {"histogram_quantile(0.99, sum by (le) (rate(mapwatch_attach_duration_seconds_bucket{$on}[$__rate_interval])))", "99 %"}}},
    {"timeseries", "Events", "ops", 8, {{"sum by (instance) (rate(mapwatch_events_received_total{$on}[$__rate_interval]))", "{{instance}}"}}},
    {"timeseries", "Events lost, by stage", "short", 8, {{"sum by (stage) (increase(mapwatch_events_lost_total{$on}[$__rate_interval]))", "{{stage}}"}}},
    {"timeseries", "Ring in use", "percentunit", 8, {{"max by (instance) (mapwatch_ring_used_bytes{$on} / (mapwatch_ring_bytes{$on} > 0))", "{{instance}}"}}},
    {"timeseries", "Findings that wait", "short", 8, {{"max by (instance) (mapwatch_queue_length{$on})", "{{instance}}"}}},
    {"timeseries", "Age of the figures", "s", 8, {{"time() - mapwatch_snapshot_timestamp_seconds{$on}", "{{instance}}"}}},
    {"timeseries", "CPU", "percentunit", 8, {{"rate(process_cpu_seconds_total{$on}[$__rate_interval]) and on (instance, job) mapwatch_build_info", "{{instance}}"}}, "Of one CPU."},
    {"timeseries", "Memory", "bytes", 8, {{"process_resident_memory_bytes{$on} and on (instance, job) mapwatch_build_info", "{{instance}}"}}},
    {"table", "Hosts", "short", 8, {{"count by (instance, version) (mapwatch_build_info{$on}) * on (instance) group_left () mapwatch_config_last_reload_successful", ""}}, "1: its configuration is the one in its files."},
};
// clang-format on

std::string filled(std::string_view expression) {
  constexpr std::pair<std::string_view, std::string_view> kSelectors[] = {
      {"$of", R"(instance=~"$instance",exe=~"$exe")"}, {"$on", R"(instance=~"$instance")"}};
  std::string text(expression);
  for (const auto& [name, selector] : kSelectors) {
    for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += selector.size()) {
      text.replace(at, name.size(), selector);
    }
  }
  return text;
}

Json source() { return {{"type", "prometheus"}, {"uid", "${datasource}"}}; }

Json targets(const Panel& panel) {
  Json out = Json::array();
  for (const Query& query : panel.queries) {
    if (query.expression.empty()) {
      break;
    }
    Json target = {{"refId", std::string(1, static_cast<char>('A' + out.size()))},
                   {"datasource", source()},
                   {"expr", filled(query.expression)}};
    if (panel.type == "timeseries") {
      target["legendFormat"] = query.legend;
    } else {
      target["instant"] = true;
    }
    if (panel.type == "table") {
      target["format"] = "table";
    }
    out.push_back(std::move(target));
  }
  return out;
}

Json panels() {
  Json out = Json::array();
  int x = 0;
  int y = 0;
  int height = 0;
  for (const Panel& panel : kPanels) {
    if (x + panel.width > kRow) {
      x = 0;
      y += height;
    }
    const bool row = panel.type == "row";
    height = row ? 1 : panel.type == "stat" ? 4 : 8;
    Json json = {{"id", out.size() + 1},
                 {"type", panel.type},
                 {"title", panel.title},
                 {"gridPos", {{"x", x}, {"y", y}, {"w", panel.width}, {"h", height}}}};
    if (row) {
      json["collapsed"] = false;
      json["panels"] = Json::array();
    } else {
      json["datasource"] = source();
      json["fieldConfig"] = {{"defaults", {{"unit", panel.unit}, {"min", 0}}}, {"overrides", Json::array()}};
      json["targets"] = targets(panel);
    }
    if (!panel.description.empty()) {
      json["description"] = panel.description;
    }
    out.push_back(std::move(json));
    x += panel.width;
  }
  return out;
}

/// A variable that Grafana fills with the values of a label; all of them unless somebody chooses.
Json label_variable(std::string_view name, std::string_view metric) {
  const std::string query = fmt::format("label_values({}, {})", metric, name);
  return {{"name", name},
          {"type", "query"},
          {"datasource", source()},
          {"definition", query},
          {"query", {{"query", query}, {"refId", "A"}}},
          {"refresh", 2},
          {"sort", 1},
          {"multi", true},
          {"includeAll", true},
          {"allValue", ".*"},
          {"current", {{"selected", true}, {"text", {"All"}}, {"value", {"$__all"}}}}};
}

}  // namespace

std::string dashboard() {
  const Json out = {
      {"uid", "mapwatch"},
      {"title", "mapwatch"},
      {"description", fmt::format("Concurrent map access in Go processes. mapwatch {}.", MAPWATCH_VERSION)},
      {"tags", {"mapwatch", "go"}},
      {"schemaVersion", 37},
      {"editable", true},
      {"refresh", "1m"},
      {"time", {{"from", "now-6h"}, {"to", "now"}}},
      {"templating",
       {{"list",
         {Json{{"name", "datasource"}, {"type", "datasource"}, {"query", "prometheus"}, {"label", "Data source"}},
          label_variable("instance", "mapwatch_build_info"),
          label_variable("exe", "mapwatch_watched_seconds_total")}}}},
      {"panels", panels()},
  };
  return out.dump(1) + "\n";
}

}  // namespace mapwatch::ops
