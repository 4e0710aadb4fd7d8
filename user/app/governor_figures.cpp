// What the governor tells of itself: top, and the end's summary.
#include <algorithm>
#include <array>
#include <numbers>

#include "app/governor.h"
#include "correlate/correlator.h"
#include "govern/odds.h"

namespace mapwatch::app {

Governor::Overview Governor::overview() const {
  Overview out;
  for (const auto& [id, group] : groups_) {
    Figures figures;
    figures.status = group.sites.planner->status();
    figures.by_calls = group.by_calls;
    figures.sharing = static_cast<std::uint32_t>(group.members.size());
    for (govern::SiteId site = 0; site < group.sites.probes.size(); ++site) {
      const mw_op op = group.sites.plan->probes[group.sites.probes[site]].op;
      const govern::SiteState state = group.sites.planner->site(site);
      const double per_s = state.hits_per_s;
      figures.armed += state.armed ? 1 : 0;
      out.armed[op] += state.armed ? 1 : 0;
      figures.ops_per_s += per_s;
      if (correlate::mutates(op)) {
        figures.writes_per_s += per_s;
      }
    }
    for (const auto& [tgid, member] : group.members) {
      figures.cost = group.sites.planner->cost_ppm(tgid) / 1e6;
      figures.cpu_ns = member.cpu_ns;
      out.processes.insert_or_assign(tgid, figures);
    }
  }
  return out;
}

namespace {

std::optional<std::uint64_t> detection_ns(const govern::Planner& planner, govern::SiteId site,
                                          const govern::SiteState& state, const mw_policy& policy, bool call) {
  // A call is one side of a race as a rule. A function may be one, or both, of half as many operations each: which is
  // not known, and a race is seen four times as often in the one case as in the other.
  const double per_s = state.hits_per_s / (call ? 1 : std::numbers::sqrt2);
  const auto holding = govern::holding(policy, 2 * per_s, planner.visits(site, 0));
  if (!holding) {
    return std::nullopt;
  }
  std::array<double, 3> meetings = {};
  std::ranges::transform(holding->stretches, meetings.begin(), [&](const govern::Stretch& stretch) {
    return govern::meetings_per_s(per_s, per_s, stretch.held_per_s, holding->meet_ns);
  });
  const auto ns = govern::seen_in_ns(*holding, planner.visits(site, meetings[0]), meetings);
  return ns ? govern::whole_ns(*ns) : govern::kNever;
}

}  // namespace

std::vector<Governor::SiteFigures> Governor::sites_of(std::uint32_t tgid, mw_policy policy) const {
  std::vector<SiteFigures> out;
  const auto id = members_.find(tgid);
  if (id == members_.end()) {
    return out;
  }
  const Group& group = groups_.at(id->second);
  if (const auto& limits = group.members.at(tgid).limits) {
    policy.share_ppm = limits->dwell_share_ppm;
    policy.burst_ns = limits->dwell_burst_ns;
  }
  const Sites& sites = group.sites;
  for (govern::SiteId site = 0; site < sites.probes.size(); ++site) {
    SiteFigures figures;
    figures.probe = &sites.plan->probes[sites.probes[site]];
    figures.hits = sites.counts[site].hits - sites.before[site];
    figures.state = sites.planner->site(site);
    figures.detection_ns = detection_ns(*sites.planner, site, figures.state, policy, group.by_calls);
    out.push_back(figures);
  }
  return out;
}

}  // namespace mapwatch::app
