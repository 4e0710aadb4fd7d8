// What the governor tells of itself: top, and the end's summary.
#include "app/governor.h"
#include "correlate/correlator.h"
#include "govern/odds.h"

namespace mapwatch::app {

std::map<std::uint32_t, Governor::Figures> Governor::figures() const {
  std::map<std::uint32_t, Figures> out;
  for (const auto& [id, group] : groups_) {
    if (group.members.empty()) {
      continue;
    }
    Figures figures;
    figures.status = group.sites.planner->status();
    figures.by_calls = group.by_calls;
    figures.sharing = static_cast<std::uint32_t>(group.members.size());
    for (govern::SiteId site = 0; site < group.sites.probes.size(); ++site) {
      const govern::SiteState state = group.sites.planner->site(site);
      const double per_s = state.hits_per_s;
      figures.armed += state.armed ? 1 : 0;
      figures.ops_per_s += per_s;
      if (correlate::mutates(group.sites.plan->probes[group.sites.probes[site]].op)) {
        figures.writes_per_s += per_s;
      }
    }
    for (const auto& [tgid, member] : group.members) {
      figures.cost = group.sites.planner->cost_ppm(tgid) / 1e6;
      figures.cpu_ns = member.cpu_ns;
      out.insert_or_assign(tgid, figures);
    }
  }
  return out;
}

Governor::ByOp Governor::armed() const {
  ByOp out = {};
  for (const auto& [id, group] : groups_) {
    for (govern::SiteId site = 0; site < group.sites.probes.size(); ++site) {
      out[group.sites.plan->probes[group.sites.probes[site]].op] += group.sites.planner->site(site).armed ? 1 : 0;
    }
  }
  return out;
}

std::vector<Governor::SiteFigures> Governor::sites_of(std::uint32_t tgid, const mw_policy& policy) const {
  std::vector<SiteFigures> out;
  const auto id = members_.find(tgid);
  if (id == members_.end()) {
    return out;
  }
  const Sites& sites = groups_.at(id->second).sites;
  for (govern::SiteId site = 0; site < sites.probes.size(); ++site) {
    SiteFigures figures;
    figures.probe = &sites.plan->probes[sites.probes[site]];
    figures.hits = sites.counts[site].hits - sites.before[site];
    figures.state = sites.planner->site(site);
    const double per_s = figures.state.hits_per_s;
    const double held = govern::held_per_s(policy, per_s);
    if (per_s > 0 && held > 0) {
      const double met = govern::meetings_per_s(per_s / 2, per_s / 2, held, policy.dwell_ns);
      figures.detection_ns = sites.planner->detection_ns({site, site, met}).value_or(govern::kNever);
    }
    out.push_back(figures);
  }
  return out;
}

}  // namespace mapwatch::app
