// How often a race would be seen if both of its sites were armed all the time.
#pragma once

#include <algorithm>
#include <cmath>

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

}  // namespace mapwatch::govern
