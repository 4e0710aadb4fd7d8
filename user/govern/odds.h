// How often a race would be seen if both of its sites were armed all the time.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "govern/planner.h"
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
  double held_per_s = 0;  ///< operations of the map, while its sites are armed
  double armed_s = 0;     ///< for so long, of the time that they are armed; HUGE_VAL: from then on
};
struct Holding {
  double dwell_ns = 0;  ///< each time, on average
  double meet_ns = 0;   ///< as long a dwell would meet as often if who comes came at a random time and was never late
  std::array<Stretch, 3> stretches = {};
};

/// Of the operations of a map, when its two goroutines come independently: what part comes when the next one is due
/// within the dwell, as mw_due() has it (bpf/allowance.bpf.h). By simulation, pauses from even to exponential: 0.15 to
/// 0.26 for pauses far longer than the dwell, 0.44 to 0.50 where a dwell is nearly as long as they are.
double due_part(double dwell_ns, double pause_ns);

/// Of a map with `ops_per_s` operations whose sites are armed as `visits` says, by what the policy allows
/// (bpf/allowance.bpf.h, which says why): a pair of sites that is new may empty the bucket, then
/// it is held wherever somebody is due until it was held for MW_YOUNG_NS; two goroutines by two sites make four pairs,
/// of which each has that. Nothing where it is never held.
std::optional<Holding> holding(const mw_policy& policy, double ops_per_s, const Visits& visits);

/// How long it takes on average until a race that begins at a random moment is seen. `meetings_per_s`: of each stretch,
/// while its sites are armed. nullopt: never.
std::optional<double> seen_in_ns(const Holding& holding, const Visits& visits,
                                 const std::array<double, 3>& meetings_per_s);

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
