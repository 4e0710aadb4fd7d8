// How often a race would be seen if both of its sites were armed all the time.
#pragma once

#include <algorithm>
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

/// Operations a second that a process is held at, of `ops_per_s` of one map, by what its policy allows. 0 where it is
/// never held.
inline double held_per_s(const mw_policy& policy, double ops_per_s) {
  if ((policy.flags & MW_POLICY_MARK_ONLY) != 0 || policy.dwell_ns == 0) {
    return 0;
  }
  const double some = std::max<double>(policy.per_second, ops_per_s / std::max<double>(policy.one_in, 1));
  return std::min(some, policy.share_ppm * 1e3 / policy.dwell_ns);
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
