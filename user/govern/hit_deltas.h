// The kernel side counts up; the planner wants what was added.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "govern/planner.h"

namespace mapwatch::govern {

class HitDeltas {
 public:
  /// `totals` of all sites, in their order. Those that were hit since the last call; sites not seen before count from
  /// 0. A total that went back counts as no hits. Valid until the next call.
  std::span<const SiteHits> take(std::span<const mw_site_counts> totals) {
    last_.resize(std::max(last_.size(), totals.size()));
    changed_.clear();
    for (std::size_t i = 0; i < totals.size(); ++i) {
      const mw_site_counts before = last_[i];
      last_[i] = totals[i];
      if (totals[i].hits > before.hits) {
        const std::uint64_t hits = totals[i].hits - before.hits;
        const std::uint64_t candidates =
            totals[i].candidates > before.candidates ? totals[i].candidates - before.candidates : 0;
        changed_.push_back({static_cast<SiteId>(i), hits, std::min(hits, candidates)});
      }
    }
    return changed_;
  }

 private:
  std::vector<mw_site_counts> last_;
  std::vector<SiteHits> changed_;
};

}  // namespace mapwatch::govern
