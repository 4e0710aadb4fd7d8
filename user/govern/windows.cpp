#include "govern/windows.h"

#include <algorithm>
#include <cmath>

namespace mapwatch::govern {

namespace {

/// Shorter visits would see hardly a dwell (50 to 200 us).
constexpr double kShortestNs = 1e6;
constexpr double kLongestNs = 2e9;
/// What the hits of one visit may cost: less is not worth the switching, more shows in a second's latencies. The second
/// is for each CPU that is kept busy.
constexpr double kLeastHitsNs = 0.3e6;
constexpr double kMostHitsNs = 1.5e6;
/// Switching is this part of the budget at most.
constexpr double kMostSwitching = 0.5;
constexpr double kLeastCpus = 0.05;
/// A depth is not visited more than this part of the time: beyond it the sites belong to the always-on ones.
constexpr double kMostShare = 0.8;
constexpr double kFollow = 0.1;

}  // namespace

void Windows::plan(const std::array<TierSum, kTiers>& tiers, const Bounds& bounds, std::uint64_t now_ns) {
  std::size_t used = 0;
  for (const TierSum& tier : tiers) {
    used += tier.sites > 0 ? 1 : 0;
  }
  const double cpus = std::max(kLeastCpus, bounds.cpus);
  const double paying_cpus = std::max(kLeastCpus, bounds.busiest_cpus);
  std::uint32_t sites = 0;
  double share = 0;
  double switching = 0;
  for (std::size_t i = 0; i < kTiers; ++i) {
    Depth& depth = depths_[i];
    sites += tiers[i].sites;
    share += tiers[i].share;
    if (tiers[i].sites == 0) {
      depth = {.free_ns = depth.free_ns};
      continue;
    }
    depth.sites = std::min(sites, kMostSites);
    depth.part = static_cast<double>(depth.sites) / sites;
    const double armed_cpus = std::clamp(share * depth.part, 1e-9, 1.0) * cpus;
    depth.switch_ns = paying_cpus * (CostModel::switch_ns(costs_.attach, depth.sites) +
                                     CostModel::switch_ns(costs_.detach, depth.sites));
    const double worth_ns = std::max(depth.switch_ns, armed_cpus * switching_ns_);
    const double hits_ns = std::clamp(worth_ns, kLeastHitsNs, kMostHitsNs * std::max(1.0, cpus));
    depth.length_ns = std::clamp(hits_ns / armed_cpus, kShortestNs, kLongestNs);
    depth.cost_ns = depth.switch_ns + armed_cpus * (depth.length_ns + overrun_ns_);
    depth.per_s = bounds.budget_ns_per_s / static_cast<double>(used) / (depth.cost_ns * price_);
    depth.per_s = std::min(depth.per_s, kMostShare / busy_ns(depth) * 1e9);
    switching += depth.per_s * depth.switch_ns;
  }
  const double most = kMostSwitching * bounds.budget_ns_per_s;
  const double less = switching > most ? most / switching : 1;
  for (Depth& depth : depths_) {
    depth.per_s *= less;
    depth.next_ns = depth.per_s > 0 ? std::max(now_ns, depth.free_ns) + gap_ns(depth) : UINT64_MAX;
  }
}

double Windows::busy_ns(const Depth& depth) const { return depth.length_ns + overrun_ns_ + switching_ns_; }

// Visits of one depth are apart by the time that one takes, switching included, and a random time.
std::uint64_t Windows::gap_ns(const Depth& depth) {
  const double random_part = std::max(1e9 / depth.per_s - busy_ns(depth), 1.0);
  return whole_ns(random_.gap_ns(1e9 / random_part));
}

std::optional<std::size_t> Windows::take_due(std::uint64_t now_ns) {
  for (std::size_t i = kTiers; i-- > 0;) {
    Depth& depth = depths_[i];
    if (depth.next_ns <= now_ns) {
      depth.free_ns = now_ns + whole_ns(busy_ns(depth));
      depth.next_ns = depth.free_ns + gap_ns(depth);
      return i;
    }
  }
  return std::nullopt;
}

std::uint64_t Windows::next_ns() const {
  std::uint64_t next = UINT64_MAX;
  for (const Depth& depth : depths_) {
    next = std::min(next, depth.next_ns);
  }
  return next;
}

void Windows::paid(double planned_ns, double cost_ns) {
  if (planned_ns > 0) {
    price_ += kFollow * (std::clamp(cost_ns / planned_ns, 0.1, 10.0) - price_);
  }
}

void Windows::switched(double ns) { switching_ns_ += kFollow * (std::clamp(ns, 0.0, 1e9) - switching_ns_); }

void Windows::overran(double ns) { overrun_ns_ += kFollow * (std::clamp(ns, 0.0, 1e8) - overrun_ns_); }

Windows::Reach Windows::reach(std::size_t tier) const {
  Reach out;
  double away = 1;
  double armed = 0;
  for (std::size_t i = tier; i < kTiers; ++i) {
    const Depth& depth = depths_[i];
    const double length = depth.length_ns + overrun_ns_;
    const double per_s = depth.per_s * depth.part;
    out.per_s += per_s;
    armed += per_s * length;
    away *= 1 - std::min(1.0, per_s * length / 1e9);
  }
  out.share = 1 - away;
  out.length_ns = out.per_s > 0 ? armed / out.per_s : 0;
  return out;
}

double Windows::alike_ns(std::size_t tier, double per_s) const {
  double all = 0;
  double unseen = 0;
  double longest_ns = 0;
  for (std::size_t i = tier; i < kTiers; ++i) {
    const Depth& depth = depths_[i];
    const double length_ns = depth.length_ns + overrun_ns_;
    const double visits = depth.per_s * depth.part;
    all += visits;
    unseen += visits * std::exp(-per_s * length_ns / 1e9);
    longest_ns = visits > 0 ? std::max(longest_ns, length_ns) : longest_ns;
  }
  return all > 0 && unseen > 0 ? std::min(longest_ns, -std::log(unseen / all) / per_s * 1e9) : longest_ns;
}

}  // namespace mapwatch::govern
