// When hot sites are visited. A visit of depth d arms every visited site of tier d and cooler at once: a race has two
// sides, and separate visits of each would meet by the product of their shares. Each depth has a Poisson process of its
// own, of the rate that spends an equal part of the budget; so a site is visited the more rarely the hotter it is.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "govern/cost.h"
#include "govern/random.h"
#include "govern/sites.h"

namespace mapwatch::govern {

class Windows {
 public:
  struct Depth {
    double per_s = 0;  ///< 0: no visits of this depth
    double length_ns = 0;
    double cost_ns = 0;    ///< of one, as planned
    double switch_ns = 0;  ///< of that, switching
    std::uint32_t sites = 0;
    double part = 1;            ///< of the sites of this depth, when they are too many
    std::uint64_t free_ns = 0;  ///< when the last visit is over and its sites can be visited again
    std::uint64_t next_ns = UINT64_MAX;
  };
  struct Bounds {
    double budget_ns_per_s = 0;
    double cpus = 1;          ///< that the group keeps busy when it works
    double busiest_cpus = 1;  ///< and its busiest member, which pays for switching
  };

  /// At most so many sites are visited at once; of more, a part that is chosen anew each time.
  static constexpr std::uint32_t kMostSites = 512;

  Windows(const CostModel& costs, Random& random) : costs_(costs), random_(random) {}

  /// Plans anew and draws the next times. Call at moments that do not depend on the times drawn before.
  void plan(const std::array<TierSum, kTiers>& tiers, const Bounds& bounds, std::uint64_t now_ns);
  /// The depth whose visit is due, deepest first; its next time is drawn.
  std::optional<std::size_t> take_due(std::uint64_t now_ns);
  std::uint64_t next_ns() const;
  const Depth& depth(std::size_t index) const { return depths_[index]; }

  /// A visit of this depth cost so much: later plans know what visits really cost.
  void paid(double planned_ns, double cost_ns);
  /// From asking for a visit to the report of its end it took so long, its length apart.
  void switched(double ns);
  /// A visit stood so much longer than it should have.
  void overran(double ns);

  /// How visits reach the sites of a tier: their share of the time, how many a second, how long.
  struct Reach {
    double share = 0;
    double per_s = 0;
    double length_ns = 0;  ///< on average
  };
  Reach reach(std::size_t tier) const;
  /// Visits of one length for all depths, in as many of which a race is seen that is seen `per_s` times a second while
  /// its sites are armed. Not the average: in a long visit it is not seen twice.
  double alike_ns(std::size_t tier, double per_s) const;

 private:
  double busy_ns(const Depth& depth) const;
  std::uint64_t gap_ns(const Depth& depth);

  const CostModel costs_;
  Random& random_;
  std::array<Depth, kTiers> depths_ = {};
  double price_ = 1;  ///< cost of visits by what was planned
  double overrun_ns_ = 0;
  double switching_ns_ = 50e6;
};

}  // namespace mapwatch::govern
