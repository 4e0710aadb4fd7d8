// The planner's inside. For planner*.cpp only.
#pragma once

#include <deque>
#include <vector>

#include "govern/bucket.h"
#include "govern/links.h"
#include "govern/members.h"
#include "govern/planner.h"
#include "govern/random.h"
#include "govern/sites.h"
#include "govern/windows.h"

namespace mapwatch::govern {

class Planner::Impl {
 public:
  Impl(const Settings& settings, std::span<const mw_site_class> classes);

  Plan tick(const Sample& sample);
  void expect(std::span<const SiteHits> hits, std::uint64_t cpu_ns);
  void inherit(const Impl& before) { members_ = before.members_; }

  std::vector<Link> links() const;
  SiteState site(SiteId site) const;
  Visits visits(SiteId id, double per_s) const;
  Status status() const;
  double cost_ppm(MemberId member) const { return members_.cost_ppm(member); }

 private:
  struct Hot {
    SiteId site = 0;
    double cost = 0;  ///< a second of time, of CPU time, or weighed: as each use says
  };

  // What is told (planner.cpp).
  void take_done(std::span<const LinkDone> done);
  GroupCost count(std::span<const SiteHits> hits);
  void heed(std::span<const SiteSignal> signals);
  void refill();
  void finish(LinkRecord& link, std::uint64_t ended_ns);

  // What is decided, most urgent first (planner_moves.cpp, planner_returns.cpp). Each adds to plan_.
  void curb();
  void retreat();
  void end_trials();
  void end_trial(LinkRecord& link);
  void end_visits();
  void cool_down();
  void let_return();
  void gather_remnants();
  void arm_waiting();
  void visit();
  void visit_all();
  void arm_all();
  std::uint64_t next_tick();

  LinkId attach(std::vector<SiteId> sites, Purpose purpose, std::uint64_t length_ns, std::uint64_t for_ns);
  /// Sites of it that are always-on wait for another link.
  void detach(LinkRecord& link);
  void demote(SiteId id, double hits_per_cpu_s);
  /// Demotes these sites (cost: share of the CPU time) and detaches their links, the hottest first. A link that costs
  /// less than its switching would is spared unless `all`. False: none was worth it.
  bool drop(const std::vector<Hot>& sites, bool all);
  void charge_switch(Purpose purpose, double ns);
  double switch_cpus() const;
  /// The visits' part of what may be charged: more where always-on sites leave theirs.
  double visits_part() const;
  /// Whether more may be armed now.
  bool may_arm() const;
  /// The next sites to be tried, one link's worth; those that are known to be hot become visited ones.
  std::vector<SiteId> take_waiting();
  std::uint32_t standing_trials() const;
  /// What it would cost at once if all sites that are not trusted turned out to be hot.
  double exposure_ns() const;
  void gain_trust();
  double planned_visits_ns() const;
  /// What the group's hits may cost until the next tick.
  double most_ns() const;
  double armed_share(const Site& site) const;
  /// --sample 1/N: how long all sites are armed each time.
  std::uint64_t share_ns() const;
  bool bounded() const { return settings_.sampling == Sampling::kAuto; }

  const Settings settings_;
  Random random_;
  Sites sites_;
  Links links_;
  Members members_;
  Windows windows_;
  std::deque<SiteId> waiting_;  ///< to be tried, in this order

  bool started_ = false;
  std::uint64_t started_ns_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint64_t elapsed_ns_ = 0;  ///< since the last sample
  double cpu_ns_ = 0;             ///< used by the group, in all
  Plan plan_;
  std::vector<Hot> touched_;  ///< this sample's hits on sites that are to stay armed: cost, ns
  double going_on_ns_ = 0;    ///< their sum
  double trials_ns_ = 0;      ///< of that, by trials
  double switched_ns_ = 0;    ///< charged with the next sample
  double hit_ns_ = 0;         ///< cost of a hit, on average
  Bucket always_;             ///< hits of always-on sites: bounds their bursts
  Bucket trials_;             ///< trials, and all switching that is not a visit's
  Bucket visits_;             ///< visits, their switching included

  std::uint64_t period_ns_ = 0;
  std::uint64_t slow_ns_ = 0;            ///< when the once-a-second work is due
  std::uint64_t thin_ns_ = 0;            ///< always-on sites are not thinned out before
  std::uint64_t hold_ns_ = 0;            ///< nothing is armed before, after a surprise
  std::uint64_t dropped_ns_ = 0;         ///< when hot links were given up last
  std::uint32_t ramp_ = 0;               ///< trials at once
  std::deque<std::uint64_t> surprises_;  ///< of the last ten seconds
  std::uint32_t retreats_ = 0;
  bool curbed_ = false;  ///< in this tick
  std::uint64_t visit_all_ns_ = 0;
  std::uint64_t switches_ = 0;
};

}  // namespace mapwatch::govern
