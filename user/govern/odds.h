// How often a race would be seen if both of its sites were armed all the time.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "mapwatch/abi.h"

namespace mapwatch::govern {

/// Two goroutines come to one map `one_per_s` and `other_per_s` times a second, independently. Of the operations
/// `held_per_s` at most are held (the map's and the process's allowance), for `dwell_ns` each, by either side alike.
/// How many times a second one of them is held while the other comes by.
inline double meetings_per_s(double one_per_s, double other_per_s, double held_per_s, double dwell_ns) {
  const double all = one_per_s + other_per_s;
  if (all <= 0) {
    return 0;
  }
  const double held = std::min(1.0, held_per_s / all);
  const auto met = [dwell_ns](double per_s) { return -std::expm1(-per_s * dwell_ns / 1e9); };
  return held * (one_per_s * met(other_per_s) + other_per_s * met(one_per_s));
}

/// How a map is held while a race that has just begun on it was not seen yet: a while of this, then the next one.
struct Stretch {
  double held_per_s = 0;  ///< operations of the map
  double armed_s = 0;     ///< for so long, of the time that its sites are armed; HUGE_VAL: from then on
};
struct Holding {
  double dwell_ns = 0;  ///< each time, on average
  double meet_ns = 0;   ///< of that, in which another goroutine that comes at a random time is met
  std::array<Stretch, 3> stretches = {};
};

/// Of a dwell: the time in which another goroutine that comes at a random time is met, when it sleeps in between. The
/// CPU that it wakes on may be the one that the other is held on, then it comes right after the dwell. Measured on 2
/// CPUs with other work (docs/overlap-detector.md): dwells of 50 us meet one that comes every millisecond in 0.2 %, of
/// 200 us in 9 %.
inline double met_asleep_ns(double dwell_ns) {
  constexpr double kLostNs = 48e3;
  constexpr double kMetPart = 0.6;
  constexpr double kLeast = 0.04;
  return std::max(kLeast * dwell_ns, kMetPart * (dwell_ns - kLostNs));
}

/// Of a map with `ops_per_s` operations, by what the policy allows (bpf/allowance.bpf.h, which has the constants and
/// says why): a pair of sites that is new may empty the bucket, then it has four turns for one until it was held for
/// 40 ms; two goroutines by two sites make four pairs, of which each has that. Nothing where it is never held.
inline std::optional<Holding> holding(const mw_policy& policy, double ops_per_s) {
  constexpr double kYoungNs = 4 * 40e6;
  constexpr double kYoungTurns = 4;
  constexpr double kAwakeNs = 20e3;
  constexpr double kAsleepNs = 200e3;
  constexpr double kLong = 0.53;  // of the dwells on those that sleep; the others are short, as after one that queued
  if ((policy.flags & MW_POLICY_MARK_ONLY) != 0 || policy.dwell_ns == 0 || ops_per_s <= 0) {
    return std::nullopt;
  }
  Holding out;
  const double pause_ns = 1e9 / ops_per_s;
  const double least_ns = policy.dwell_ns;
  const double most_ns = std::max(policy.dwell_ns, policy.dwell_max_ns);
  const double asleep = std::clamp(std::log(pause_ns / kAwakeNs) / std::log(kAsleepNs / kAwakeNs), 0.0, 1.0);
  // As long as the map had no operation before, where nobody is seen to queue behind it.
  out.dwell_ns = (1 - asleep) * std::clamp(pause_ns, least_ns, most_ns) + asleep * std::lerp(least_ns, most_ns, kLong);
  out.meet_ns = (1 - asleep) * out.dwell_ns + asleep * met_asleep_ns(out.dwell_ns);
  const double bucket = policy.share_ppm * 1e3 / out.dwell_ns;
  const double turns = std::max<double>(policy.per_second, ops_per_s / std::max<double>(policy.one_in, 1));
  const double burst_ns = std::min<double>(static_cast<double>(policy.burst_ns), kYoungNs);
  const double young = std::min(std::max(kYoungTurns * policy.per_second, turns), bucket);
  out.stretches = {{{ops_per_s, burst_ns / out.dwell_ns / ops_per_s},
                    {young, young > 0 ? (kYoungNs - burst_ns) / (young * out.dwell_ns) : 0},
                    {std::min(turns, bucket), HUGE_VAL}}};
  return out;
}

/// A race that is seen after `seen_ns` on average while things are as in a stretch (nullopt: never) is seen after so
/// long when they change as `holding` says; its sites are armed `armed_share` of the time.
template <typename SeenNs>
std::optional<double> seen_in_ns(const Holding& holding, double armed_share, const SeenNs& seen_ns) {
  double mean = 0;
  double unseen = 1;
  for (const Stretch& stretch : holding.stretches) {
    const std::optional<double> seen = seen_ns(stretch.held_per_s);
    const double lasts = armed_share > 0 ? stretch.armed_s * 1e9 / armed_share : HUGE_VAL;
    if (lasts == HUGE_VAL) {
      return seen ? std::optional(mean + unseen * *seen) : std::nullopt;
    }
    const double left = seen ? std::exp(-lasts / *seen) : 1;
    mean += unseen * (seen ? (1 - left) * *seen : lasts);
    unseen *= left;
  }
  return std::nullopt;
}

/// When a race that can be seen is never seen as things are.
constexpr std::uint64_t kNever = UINT64_MAX;

/// How long it takes until a race is seen, over the sites of a process.
struct Odds {
  std::uint64_t used = 0;                ///< sites that work, of which it can be told
  std::uint64_t never = 0;               ///< of these, where none is seen as things are
  std::optional<std::uint64_t> half_ns;  ///< at half of them it is seen within this; nullopt: not told, or never
  std::optional<std::uint64_t> most_ns;  ///< at 95 % of them
};

/// `times`: of each site that works, ns or kNever.
inline Odds sum_up(std::vector<std::uint64_t> times) {
  std::ranges::sort(times);
  Odds odds;
  odds.used = times.size();
  odds.never = static_cast<std::uint64_t>(std::ranges::count(times, kNever));
  const auto at = [&](double part) -> std::optional<std::uint64_t> {
    if (times.empty()) {
      return std::nullopt;
    }
    const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(times.size())));
    const std::uint64_t time = times[std::max<std::size_t>(rank, 1) - 1];
    return time == kNever ? std::nullopt : std::optional(time);
  };
  odds.half_ns = at(0.5);
  odds.most_ns = at(0.95);
  return odds;
}

}  // namespace mapwatch::govern
