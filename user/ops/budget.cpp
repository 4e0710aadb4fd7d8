#include "ops/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace mapwatch::ops {
namespace {

constexpr std::uint64_t kTrendS = 21'600;
constexpr double kUsedUp = 1e-9;  // 1 - 99 % is not quite 1 %

std::string times(double rate) { return fmt::format("{:.3g}x", rate); }

std::string why(const ObjectiveState& state, const Slo& slo) {
  if (state.verdict == Verdict::kNoData) {
    return "nothing is known of the window";
  }
  for (const Burn& burn : state.burns) {
    if (burn.burning && (burn.rule->page || state.verdict == Verdict::kWarning) && *state.remaining > kUsedUp) {
      return fmt::format("burns {} over {} h, {} over {} min (limit {})", times(*burn.long_rate),
                         burn.rule->long_s / 3'600, times(*burn.short_rate), burn.rule->short_s / 60,
                         times(burn.rule->factor));
    }
  }
  if (*state.remaining <= kUsedUp) {
    return "the budget is used up";
  }
  return *state.remaining < slo.warn_below
             ? fmt::format("less than {:.0f} % of the budget is left", 100 * slo.warn_below)
             : "within the budget";
}

}  // namespace

std::vector<std::uint64_t> spans(const Slo& slo) {
  std::set<std::uint64_t> all = {slo.window_s};
  for (const BurnRule& rule : kBurnRules) {
    if (rule.long_s <= slo.window_s) {
      all.insert({rule.long_s, rule.short_s});
    }
  }
  return {all.begin(), all.end()};
}

ObjectiveState judge(const Objective& objective, const Slo& slo, const std::vector<Reading>& readings) {
  const auto value = [&](std::uint64_t span_s) -> std::optional<double> {
    const auto found = std::ranges::find(readings, span_s, &Reading::span_s);
    return found == readings.end() ? std::nullopt : found->value;
  };
  ObjectiveState state;
  state.name = objective.name;
  state.allowed = objective.allowed();
  const auto rate = [&](std::uint64_t span_s) -> std::optional<double> {
    const auto read = value(span_s);
    return read ? std::optional(*read / state.allowed) : std::nullopt;
  };
  state.value = value(slo.window_s);
  bool page = false;
  bool ticket = false;
  for (const BurnRule& rule : kBurnRules) {
    if (rule.long_s > slo.window_s) {
      continue;
    }
    Burn burn{&rule, rate(rule.long_s), rate(rule.short_s), false};
    burn.burning =
        burn.long_rate && burn.short_rate && *burn.long_rate >= rule.factor && *burn.short_rate >= rule.factor;
    (rule.page ? page : ticket) |= burn.burning;
    state.burns.push_back(burn);
  }
  if (state.value) {
    state.remaining = 1 - *state.value / state.allowed;
    const bool low = *state.remaining < slo.warn_below;
    state.verdict = *state.remaining <= kUsedUp || page ? Verdict::kFrozen
                    : ticket || low                     ? Verdict::kWarning
                                                        : Verdict::kOpen;
    if (const auto trend = rate(kTrendS); trend && *trend > 0 && *state.remaining > kUsedUp) {
      state.exhausted_in_s = *state.remaining * static_cast<double>(slo.window_s) / *trend;
    }
  }
  state.why = why(state, slo);
  return state;
}

Verdict worst(const std::vector<ObjectiveState>& states) {
  Verdict verdict = Verdict::kOpen;
  for (const ObjectiveState& state : states) {
    verdict = std::max(verdict, state.verdict);
  }
  return verdict;
}

}  // namespace mapwatch::ops
