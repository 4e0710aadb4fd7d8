#include "ops/canary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mapwatch::ops {
namespace {

constexpr double kLeastWatchedS = 60;
constexpr double kSurprise = 0.05;
constexpr double kMoreOften = 2;

/// Two Poisson counts of one rate: given their sum, one is binomial with the share of its time. The chance of `k` or
/// more of `n`.
double at_least(double k, double n, double share) {
  double chance = 0;
  for (double i = k; i <= n; ++i) {
    chance += std::exp(std::lgamma(n + 1) - std::lgamma(i + 1) - std::lgamma(n - i + 1) + i * std::log(share) +
                       (n - i) * std::log1p(-share));
  }
  return std::min(1.0, chance);
}

}  // namespace

Comparison compare(const Group& canary, const Group& baseline) {
  Comparison result;
  if (canary.watched_s < kLeastWatchedS || baseline.watched_s < kLeastWatchedS) {
    result.no_data = true;
    result.why = fmt::format("the {} was watched for {:.0f} s: too little to tell",
                             canary.watched_s < kLeastWatchedS ? "canary" : "baseline",
                             canary.watched_s < kLeastWatchedS ? canary.watched_s : baseline.watched_s);
    return result;
  }
  const double share = canary.watched_s / (canary.watched_s + baseline.watched_s);
  if (canary.crashes > 0) {
    result.crash_p = at_least(canary.crashes, canary.crashes + baseline.crashes, share);
  }
  const double canary_hazards = canary.hazard_s / canary.watched_s;
  const double baseline_hazards = baseline.hazard_s / baseline.watched_s;
  const bool new_hazards = canary.hazard_s > 0 && baseline.hazard_s == 0 && baseline.watched_s >= canary.watched_s;
  if (canary.crashes > 0 && result.crash_p < kSurprise) {
    result.roll_back = true;
    result.why = fmt::format("{:.0f} crashes of the canary, {:.0f} of the baseline: by chance {:.2g}", canary.crashes,
                             baseline.crashes, result.crash_p);
  } else if (new_hazards) {
    result.roll_back = true;
    result.why = "the canary has hazards, the baseline has none";
  } else if (baseline.hazard_s > 0 && canary_hazards > kMoreOften * baseline_hazards) {
    result.roll_back = true;
    result.why = fmt::format("hazards in {:.3g} % of the canary's time, in {:.3g} % of the baseline's",
                             100 * canary_hazards, 100 * baseline_hazards);
  } else {
    result.why = "no worse than the baseline";
  }
  return result;
}

}  // namespace mapwatch::ops
