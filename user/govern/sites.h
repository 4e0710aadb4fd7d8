// What is known of each site: how hot it is, who uses its maps, where it stands in the plan.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "govern/planner.h"

namespace mapwatch::govern {

using Place = SiteState::Place;

/// Visited sites by heat: each tier costs four times what the one below costs, weighed by the attention a site
/// deserves.
constexpr std::size_t kTiers = 12;

struct TierSum {
  std::uint32_t sites = 0;
  double share = 0;  ///< of the CPU time, while armed
};

struct Site {
  /// While armed, for each second of CPU time that the group uses: a process that idles tells nothing of how hot a site
  /// is when it works. kAlways: as of `age`; else as the last visits showed.
  float hits_per_cpu_s = 0;
  std::uint32_t hits = 0;  ///< of the present trial or visit
  std::uint32_t seen = 0;  ///< hits and candidates that tell whose maps these are; both halve now and then
  std::uint32_t candidates = 0;
  Place place = Place::kWaiting;
  std::uint8_t tier = 0;
  std::uint8_t demotions = 0;  ///< how often it went from always-on to visited; how often an attach of it failed
  std::uint8_t site_class = MW_SITE_NONE;
  bool known = false;    ///< its heat was measured
  bool trusted = false;  ///< it stayed cool while the group worked for a while
  LinkId link = 0;       ///< 0: not armed
  double age = 0;
  std::uint64_t armed_ns = 0;  ///< in all
  std::uint64_t retry_ns = 0;  ///< not always-on again before
  std::uint64_t near_ns = 0;   ///< until then a near miss counts
};

class Sites {
 public:
  Sites(std::span<const mw_site_class> classes, const CostModel& costs);

  std::size_t size() const { return sites_.size(); }
  Site& operator[](SiteId id) { return sites_[id]; }
  const Site& operator[](SiteId id) const { return sites_[id]; }

  double hit_ns(const Site& site) const { return costs_.ns_per_hit[site.site_class]; }
  /// Cost as a share of the group's CPU time, while armed.
  double share(const Site& site) const { return static_cast<double>(site.hits_per_cpu_s) * hit_ns(site) / 1e9; }
  /// The same as the plan sees it: a near miss makes a site look cooler, a map of one goroutine hotter.
  double heat(const Site& site, std::uint64_t now_ns) const { return share(site) * attention(site, now_ns); }

  /// The group used `cpu_ns`; what is remembered is of about the last `memory_ns` of its CPU time.
  void pass(double cpu_ns, double memory_ns);
  /// Hits of an always-on site since the last sample.
  void follow(Site& site, std::uint64_t hits);
  /// The same, spread over the `elapsed_ns` before `now_ns`: how often it works, whatever CPU time that takes.
  void pace(SiteId id, std::uint64_t hits, std::uint64_t now_ns, std::uint64_t elapsed_ns);
  /// Hits a second: of an always-on site as of about the last three, of another one as of the last visits. `armed_ns`:
  /// it was armed for so long in all. nullopt: it was not seen yet.
  std::optional<double> paced_per_s(SiteId id, std::uint64_t now_ns, std::uint64_t armed_ns) const;
  /// Hits of any site: whose maps it is used on.
  void learn(Site& site, const SiteHits& hits);
  /// The end of a trial or visit of `armed_ns`, during which the group used `cpu_ns`.
  void visited(SiteId id, double cpu_ns, std::uint64_t armed_ns);

  /// Cost of all always-on sites as a share of the group's CPU time.
  double always_share() const { return always_share_; }
  std::uint32_t always() const { return always_; }
  void set_place(SiteId id, Place place);

  /// In no order.
  const std::vector<SiteId>& visited_sites() const { return visited_; }
  /// Sorts the visited sites into tiers anew.
  void sort_into_tiers(std::uint64_t now_ns);
  const std::array<TierSum, kTiers>& tiers() const { return tiers_; }

 private:
  double attention(const Site& site, std::uint64_t now_ns) const;
  /// Brings an always-on site's figure up to date.
  void fade(Site& site);

  /// Apart from Site, which fills a cache line.
  struct Pace {
    float hits = 0;        ///< while always-on: the older, the less they count
    float per_s = -1;      ///< while visited; below 0: it was not
    std::uint32_t at = 0;  ///< when that was so, in ticks of 10 ms; it wraps after 497 days
  };
  static double faded(const Pace& pace, std::uint32_t at);

  const CostModel costs_;
  std::vector<Site> sites_;
  std::vector<Pace> paces_;
  std::vector<SiteId> visited_;
  std::array<TierSum, kTiers> tiers_ = {};
  std::uint32_t always_ = 0;
  double always_share_ = 0;
  double age_ = 0;  ///< CPU time so far, in memories
  double memory_s_ = 5;
};

}  // namespace mapwatch::govern
