// What watching costs a target, as values and sums: hits x ns of their instruction class, held time, switching.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "mapwatch/abi.h"

namespace mapwatch::govern {

/// What one attach or detach costs each CPU that the target keeps busy meanwhile (its translations are flushed), ns.
/// Not the caller's waiting.
struct SwitchCost {
  double call_ns = 0;
  double site_ns = 0;
};

/// Measured at start on this host.
struct CostModel {
  /// By mw_site_class: what a hit costs the thread that it interrupts. MW_SITE_NONE's is unused.
  std::array<double, 5> ns_per_hit = {0, 900, 900, 900, 20'000};
  SwitchCost attach = {50'000, 3'000};
  SwitchCost detach = {50'000, 3'000};

  double hit_ns(mw_site_class site_class, std::uint64_t hits) const {
    return ns_per_hit[static_cast<std::size_t>(site_class)] * static_cast<double>(hits);
  }
  static double switch_ns(const SwitchCost& cost, std::size_t sites) {
    return cost.call_ns + cost.site_ns * static_cast<double>(sites);
  }
};

/// ns as an integer; what no clock shows becomes the nearest that one does.
inline std::uint64_t whole_ns(double ns) { return static_cast<std::uint64_t>(std::clamp(ns, 0.0, 1e18)); }

/// `cost_ns` as a share of `cpu_ns`, the CPU time that the target used meanwhile, cost included. 0 when it used none.
inline double cost_share(double cost_ns, std::uint64_t cpu_ns) {
  return cpu_ns > 0 ? cost_ns / static_cast<double>(cpu_ns) : 0;
}

}  // namespace mapwatch::govern
