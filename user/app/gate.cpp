#include "app/gate.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "app/state_dir.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/make_directories.h"
#include "base/rfc3339.h"
#include "base/unique_fd.h"
#include "base/write_all.h"
#include "ops/budget.h"
#include "ops/history.h"
#include "ops/prometheus.h"

namespace mapwatch::app {
namespace {

using Json = nlohmann::ordered_json;
using ops::Verdict;

constexpr std::int64_t kNsPerS = 1'000'000'000;
constexpr const char* kOverrides = "gate-overrides.jsonl";

constexpr struct {
  Verdict verdict;
  const char* word;
  int status;
} kVerdicts[] = {{Verdict::kOpen, "open", 0},
                 {Verdict::kWarning, "warning", 11},
                 {Verdict::kFrozen, "frozen", 10},
                 {Verdict::kNoData, "no_data", 12}};

const auto& of(Verdict verdict) { return kVerdicts[static_cast<std::size_t>(verdict)]; }

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

/// Reads an objective over all spans by `value`, which answers for one.
template <typename Value>
Result<ops::ObjectiveState> judged(const ops::Objective& objective, const ops::Slo& slo, const Value& value) {
  std::vector<ops::Reading> readings;
  for (const std::uint64_t span_s : ops::spans(slo)) {
    readings.push_back({span_s, TRY(value(objective, span_s))});
  }
  return ops::judge(objective, slo, readings);
}

/// nullopt, and told why, where no daemon has written one yet.
Result<std::optional<ops::History>> history_of(const cli::Options& options) {
  const std::string path = state_dir(options) + "/" + ops::History::kFileName;
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    log::warn("{} is not there: `mapwatch daemon` writes it{}", path,
              options.slo.empty() ? "" : "; or give --prometheus URL");
    return std::optional<ops::History>();
  }
  return std::optional(TRY(ops::History::open(path)));
}

Result<std::vector<ops::ObjectiveState>> states(const ops::Slo& slo, const cli::Options& options, std::int64_t now_s) {
  std::vector<ops::ObjectiveState> all;
  if (!options.prometheus.empty()) {
    const ops::Prometheus prometheus = TRY(ops::Prometheus::at(options.prometheus));
    for (const ops::Objective& objective : slo.objectives) {
      all.push_back(TRY(judged(objective, slo, [&](const ops::Objective& each, std::uint64_t span_s) {
        return prometheus.value(ops::promql(each, span_s));
      })));
    }
    return all;
  }
  const auto history = TRY(history_of(options));
  for (const ops::Objective& objective : slo.objectives) {
    all.push_back(TRY(judged(objective, slo, [&](const ops::Objective& each, std::uint64_t span_s) {
      return history ? history->value(each, span_s, now_s) : std::optional<double>();
    })));
  }
  return all;
}

std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.1f} %", 100 * *share) : std::string("unknown");
}

std::string text_of(const ops::Slo& slo, const std::vector<ops::ObjectiveState>& all, Verdict verdict) {
  std::string text;
  for (const ops::ObjectiveState& state : all) {
    text += fmt::format("{:<8} {}: {} of the budget left, {}{}\n", of(state.verdict).word, escape(state.name),
                        percent(state.remaining), state.why,
                        state.exhausted_in_s ? fmt::format("; at the pace of the last 6 h it lasts {:.1f} days",
                                                           *state.exhausted_in_s / 86'400)
                                             : "");
  }
  return text + fmt::format("gate: {} ({}, window {:.0f} days)\n", of(verdict).word, escape(slo.service),
                            static_cast<double>(slo.window_s) / 86'400);
}

Json json_of(const ops::Slo& slo, const std::vector<ops::ObjectiveState>& all, Verdict verdict) {
  Json json = {{"schema_version", 1},         {"kind", "gate"},           {"service", slo.service},
               {"verdict", of(verdict).word}, {"window_s", slo.window_s}, {"objectives", Json::array()}};
  for (const ops::ObjectiveState& state : all) {
    Json burns = Json::array();
    for (const ops::Burn& burn : state.burns) {
      burns.push_back({{"long_s", burn.rule->long_s},
                       {"short_s", burn.rule->short_s},
                       {"factor", burn.rule->factor},
                       {"page", burn.rule->page},
                       {"long_rate", or_null(burn.long_rate)},
                       {"short_rate", or_null(burn.short_rate)},
                       {"burning", burn.burning}});
    }
    json["objectives"].push_back({{"name", state.name},
                                  {"verdict", of(state.verdict).word},
                                  {"value", or_null(state.value)},
                                  {"allowed", state.allowed},
                                  {"remaining", or_null(state.remaining)},
                                  {"exhausted_in_s", or_null(state.exhausted_in_s)},
                                  {"why", state.why},
                                  {"burns", std::move(burns)}});
  }
  return json;
}

std::string line_of(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n"; }

/// Who let a change through a closed gate, and why: one line of JSON, appended.
Result<void> note_override(const cli::Options& options, const ops::Slo& slo, Verdict verdict, std::int64_t now_ns) {
  const std::string directory = state_dir(options);
  TRY(make_directories(directory));
  const std::string path = directory + "/" + kOverrides;
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) {
    return fail_errno(fmt::format("{} cannot be written: nothing is let through without a note", path));
  }
  const Json note = {{"time", rfc3339(now_ns)},
                     {"uid", ::getuid()},
                     {"service", slo.service},
                     {"verdict", of(verdict).word},
                     {"reason", options.reason}};
  TRY(write_all(file.get(), line_of(note), path));
  if (::fsync(file.get()) != 0) {
    return fail_errno(fmt::format("{} cannot be written", path));
  }
  return {};
}

Result<int> budget_gate(const cli::Options& options, const Clock& clock) {
  const ops::Slo slo = TRY(ops::read_slo(options.slo));
  const std::int64_t now_ns = clock.realtime_ns();
  const auto all = TRY(states(slo, options, now_ns / kNsPerS));
  const Verdict verdict = ops::worst(all);
  const bool overridden = options.override_gate && verdict != Verdict::kOpen;
  if (overridden) {
    TRY(note_override(options, slo, verdict, now_ns));
  }
  std::string text;
  if (options.output == cli::Output::kJson) {
    Json json = json_of(slo, all, verdict);
    json["overridden"] = overridden;
    text = line_of(json);
  } else {
    text = text_of(slo, all, verdict);
    text += overridden ? fmt::format("overridden: {}\n", escape(options.reason)) : "";
  }
  TRY(write_all(STDOUT_FILENO, text, "stdout"));
  return overridden ? 0 : of(verdict).status;
}

Result<int> canary_gate(const cli::Options& options, const Clock& clock) {
  const std::int64_t now_s = clock.realtime_ns() / kNsPerS;
  const std::uint64_t span_s = options.since_ns / kNsPerS;
  const auto history = TRY(history_of(options));
  const ops::Group canary = history ? TRY(history->group(options.canary, span_s, now_s)) : ops::Group{};
  const ops::Group baseline = history ? TRY(history->group(options.baseline, span_s, now_s)) : ops::Group{};
  const ops::Comparison compared = ops::compare(canary, baseline);
  const char* word = compared.no_data ? "no_data" : compared.roll_back ? "roll_back" : "go";
  std::string text;
  if (options.output == cli::Output::kJson) {
    const auto json = [](const ops::Group& group) {
      return Json{{"watched_s", group.watched_s},
                  {"hazard_s", group.hazard_s},
                  {"crashes", group.crashes},
                  {"overhead", group.overhead}};
    };
    text = line_of({{"schema_version", 1},
                    {"kind", "canary"},
                    {"verdict", word},
                    {"canary", json(canary)},
                    {"baseline", json(baseline)},
                    {"crash_p", compared.crash_p},
                    {"why", compared.why}});
  } else {
    const auto line = [](const char* name, const ops::Group& group) {
      return fmt::format("{:<9} watched {:.0f} s, hazards in {:.0f} s, {:.0f} crashes, cost {:.2f} %\n", name,
                         group.watched_s, group.hazard_s, group.crashes, 100 * group.overhead);
    };
    text = line("canary", canary) + line("baseline", baseline) + fmt::format("gate: {}: {}\n", word, compared.why);
  }
  TRY(write_all(STDOUT_FILENO, text, "stdout"));
  return of(compared.no_data ? Verdict::kNoData : compared.roll_back ? Verdict::kFrozen : Verdict::kOpen).status;
}

}  // namespace

int run_gate(const cli::Options& options) {
  const SystemClock clock;
  const auto status = options.slo.empty() ? canary_gate(options, clock) : budget_gate(options, clock);
  if (!status) {
    log::print_error(status.error());
    return log::exit_status(status.error().kind);
  }
  return *status;
}

}  // namespace mapwatch::app
