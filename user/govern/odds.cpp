#include "govern/odds.h"

#include "mapwatch/allowance.h"

namespace mapwatch::govern {

namespace {

constexpr double kSecondNs = 1e9;
/// Pauses of a map's operations: below, its goroutines are awake all the while; beyond, they sleep in between.
constexpr double kAwakeNs = 20e3;
constexpr double kAsleepNs = 200e3;
/// Where they sleep most dwells are of the longest; those after one behind which somebody queued are not.
constexpr double kLong = 0.9;
/// Of a dwell on one that sleeps. More than all of it: held is who is met soon (mw_due). Less: who is met wakes late,
/// or on the CPU that the other is held on. Measured, two goroutines on 2 CPUs, each every 0.3, 1, 3 and 10 ms: 0.3,
/// 0.5 to 0.7, 0.6 to 0.8 and 1.5 (docs/governor.md).
constexpr double kMetAtMs = 0.7;  // each comes once a millisecond
constexpr double kMetPower = 0.35;
constexpr double kMetLeast = 0.3;
constexpr double kMetMost = 1.4;

double met_part(double pause_ns) {
  return std::clamp(kMetAtMs * std::pow(2 * pause_ns / 1e6, kMetPower), kMetLeast, kMetMost);
}

/// A turn comes `per_s` times a second, and is taken by the next of those that may be held, `of` a second.
double in_turn(double per_s, double of) { return per_s > 0 && of > 0 ? 1 / (1 / per_s + 1 / of) : 0; }

/// How likely it is that a race was not seen, by the time that its sites were armed, s.
class Unseen {
 public:
  Unseen(const Holding& holding, const std::array<double, 3>& meetings_per_s)
      : holding_(holding), meetings_per_s_(meetings_per_s) {}

  /// Over all that time. HUGE_VAL: for ever.
  double integral() const {
    double sum = 0;
    walk([&](double, double unseen, double per_s, double lasts) {
      sum += per_s > 0 ? unseen * -std::expm1(-per_s * lasts) / per_s : unseen * lasts;
    });
    return sum;
  }
  /// At the times (k + offset) x step, k from 0 on.
  double sum(double step, double offset) const {
    double sum = 0;
    walk([&](double from, double unseen, double per_s, double lasts) {
      const double first = std::ceil(from / step - offset);
      const double count = std::ceil((from + lasts) / step - offset) - first;
      if (count <= 0) {
        return;
      }
      const double at_first = unseen * std::exp(-per_s * ((first + offset) * step - from));
      sum += at_first * (per_s > 0 ? std::expm1(-per_s * step * count) / std::expm1(-per_s * step) : count);
    });
    return sum;
  }

 private:
  template <typename Part>
  void walk(const Part& part) const {
    double from = 0;
    double unseen = 1;
    for (std::size_t i = 0; i < meetings_per_s_.size() && unseen > 0; ++i) {
      const double lasts = holding_.stretches[i].armed_s;
      part(from, unseen, meetings_per_s_[i], lasts);
      unseen *= meetings_per_s_[i] > 0 ? std::exp(-meetings_per_s_[i] * lasts) : 1;
      from += lasts;
      if (lasts == HUGE_VAL) {
        return;
      }
    }
  }

  const Holding& holding_;
  const std::array<double, 3>& meetings_per_s_;
};

}  // namespace

double due_part(double dwell_ns, double pause_ns) {
  constexpr double kAlways = 0.2;
  constexpr double kByLength = 0.25;
  return std::min(1.0, kAlways + kByLength * dwell_ns / pause_ns);
}

std::optional<Holding> holding(const mw_policy& policy, double ops_per_s, const Visits& visits) {
  constexpr double kYoungNs = 4.0 * MW_YOUNG_NS;  // of four pairs
  if ((policy.flags & MW_POLICY_MARK_ONLY) != 0 || policy.dwell_ns == 0 || ops_per_s <= 0) {
    return std::nullopt;
  }
  Holding out;
  const double pause_ns = kSecondNs / ops_per_s;
  const double least_ns = policy.dwell_ns;
  const double most_ns = std::max(policy.dwell_ns, policy.dwell_max_ns);
  const double asleep = std::clamp(std::log(pause_ns / kAwakeNs) / std::log(kAsleepNs / kAwakeNs), 0.0, 1.0);
  // As long as the map had no operation before, where nobody is seen to queue behind it.
  out.dwell_ns = (1 - asleep) * std::clamp(pause_ns, least_ns, most_ns) + asleep * std::lerp(least_ns, most_ns, kLong);
  out.meet_ns = out.dwell_ns * std::lerp(1.0, met_part(pause_ns), asleep);

  const double due = due_part(out.dwell_ns, pause_ns) * ops_per_s;
  const double others = (ops_per_s - due) / MW_UNDUE_ONE_IN;
  const double burst_ns = std::min<double>(static_cast<double>(policy.burst_ns), kYoungNs);
  // The bucket fills between visits, too, up to its brim.
  double share = policy.share_ppm / 1e6 / std::max(visits.armed_share, 1e-9);
  if (visits.windows_per_s > 0) {
    share = std::min(share, policy.share_ppm / 1e6 + burst_ns / visits.window_ns);
  }
  const double bucket = share * kSecondNs / out.dwell_ns;
  const double counted = (due + others) / std::max<double>(policy.one_in, 1);
  const double turns = std::max(in_turn(policy.per_second, due + others), counted);
  const double young =
      std::min(bucket, std::max(turns, due + in_turn(static_cast<double>(MW_YOUNG_TURNS) * policy.per_second, others)));
  // Who is held so often comes by the less often for it.
  const double at_first = (due + others) / (1 + (due + others) / ops_per_s * out.dwell_ns / (2 * pause_ns));
  out.stretches = {{{at_first, burst_ns / out.dwell_ns / at_first},
                    {young, young > 0 ? (kYoungNs - burst_ns) / (young * out.dwell_ns) : 0},
                    {std::min(turns, bucket), HUGE_VAL}}};
  return out;
}

std::optional<double> seen_in_ns(const Holding& holding, const Visits& visits,
                                 const std::array<double, 3>& meetings_per_s) {
  if (visits.armed_share <= 0) {
    return std::nullopt;
  }
  const Unseen unseen(holding, meetings_per_s);
  double wait_s = unseen.integral();
  if (visits.windows_per_s > 0 && visits.armed_share < 1) {
    // And the gaps between visits: the first one if it did not begin in a visit, each further one if it was not seen.
    const double length_s = visits.window_ns / kSecondNs;
    const double gap_s = std::max(0.0, 1 / visits.windows_per_s - length_s);
    wait_s +=
        gap_s * ((1 - visits.armed_share) * unseen.sum(length_s, 0) + visits.armed_share * unseen.sum(length_s, 0.5));
  } else {
    wait_s /= visits.armed_share;
  }
  return std::isfinite(wait_s) ? std::optional(wait_s * kSecondNs) : std::nullopt;
}

}  // namespace mapwatch::govern
