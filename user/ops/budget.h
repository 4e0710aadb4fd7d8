// Error budgets: how much of what is allowed is used, how fast, and what that means for a change that wants to go out.
// Pure: readings in, verdict out. The windows and factors are those of the SRE workbook, "Alerting on SLOs".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/slo.h"

namespace mapwatch::ops {

/// Both windows of a rule must burn: the long one says that it matters, the short one that it goes on.
struct BurnRule {
  std::uint64_t long_s;
  std::uint64_t short_s;
  double factor;  ///< times the rate that uses up the budget in just its window
  bool page;      ///< else a ticket
};
constexpr std::array<BurnRule, 4> kBurnRules = {
    {{3'600, 300, 14.4, true}, {21'600, 1'800, 6, true}, {86'400, 7'200, 3, false}, {259'200, 21'600, 1, false}}};

/// The spans of time that an objective is read over: those of the rules, and its window.
std::vector<std::uint64_t> spans(const Slo& slo);

/// An objective's value over a span that ends now; value: nullopt when nothing is known of it.
struct Reading {
  std::uint64_t span_s = 0;
  std::optional<double> value;
};

enum class Verdict { kOpen, kWarning, kFrozen, kNoData };  ///< the worse the later

struct Burn {
  const BurnRule* rule = nullptr;
  std::optional<double> long_rate;  ///< 1: just the budget by the end of the window
  std::optional<double> short_rate;
  bool burning = false;
};

struct ObjectiveState {
  std::string name;
  Verdict verdict = Verdict::kNoData;
  std::optional<double> value;  ///< over the whole window
  double allowed = 0;
  std::optional<double> remaining;  ///< share of the budget; below 0: overdrawn
  std::vector<Burn> burns;
  std::optional<double> exhausted_in_s;  ///< as the last six hours went; nullopt: not, or it is not known
  std::string why;                       ///< for people
};

/// Judges one objective by its readings. No data over the window is no data; a shorter span without data does not burn.
ObjectiveState judge(const Objective& objective, const Slo& slo, const std::vector<Reading>& readings);

/// Of all: no data at one is no data, for what is not known cannot be let through.
Verdict worst(const std::vector<ObjectiveState>& states);

}  // namespace mapwatch::ops
