// What the planner tells of itself.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "govern/planner_impl.h"

namespace mapwatch::govern {

namespace {
/// A visit that is not over tells how often a site works once it is so long.
constexpr std::uint64_t kTellingNs = 100'000'000;
}  // namespace

std::vector<Link> Planner::Impl::links() const {
  std::vector<Link> out;
  for (const LinkRecord& link : links_.all()) {
    if (link.phase == LinkRecord::Phase::kStanding) {
      out.push_back({link.id, link.purpose, link.sites, link.since_ns,
                     link.purpose == Purpose::kAlways ? kForEver : link.end_ns()});
    }
  }
  return out;
}

double Planner::Impl::armed_share(const Site& site) const {
  if (settings_.sampling == Sampling::kShare) {
    return 1.0 / std::max<std::uint32_t>(settings_.one_in, 1);
  }
  switch (site.place) {
    case Place::kAlways:
      return 1;
    case Place::kVisited:
      return windows_.reach(site.tier).share;
    case Place::kWaiting:
    case Place::kRefused:
      break;
  }
  return 0;
}

SiteState Planner::Impl::site(SiteId id) const {
  SiteState out;
  if (id >= sites_.size()) {
    return out;
  }
  const Site& site = sites_[id];
  out.place = site.place;
  const double cpus = members_.allowance().cpus;
  out.hits_per_cpu_s = static_cast<double>(site.hits_per_cpu_s);
  const Visits visits = this->visits(id, 0);
  out.armed_share = visits.armed_share;
  out.windows_per_s = visits.windows_per_s;
  out.window_ns = whole_ns(visits.window_ns);
  std::uint64_t armed = site.armed_ns;
  std::uint64_t stands = 0;
  const LinkRecord* link = links_.find(site.link);
  if (link != nullptr && link->phase == LinkRecord::Phase::kStanding) {
    out.armed = true;
    stands = now_ns_ - link->since_ns;
    armed += stands;
  }
  if (const auto paced = sites_.paced_per_s(id, now_ns_, armed)) {
    out.hits_per_s = *paced;
  } else if (stands >= kTellingNs) {
    out.hits_per_s = site.hits / static_cast<double>(stands) * 1e9;
  } else {
    out.hits_per_s = out.hits_per_cpu_s * cpus;  // heat that is known from elsewhere
  }
  if (now_ns_ > started_ns_) {
    out.measured_share = static_cast<double>(armed) / static_cast<double>(now_ns_ - started_ns_);
  }
  out.cost_ppm = sites_.share(site) * out.armed_share * 1e6;
  return out;
}

Visits Planner::Impl::visits(SiteId id, double per_s) const {
  Visits out;
  if (id >= sites_.size()) {
    return {0, 0, 0};
  }
  const Site& site = sites_[id];
  out.armed_share = armed_share(site);
  if (settings_.sampling == Sampling::kShare && settings_.one_in > 1) {
    out.window_ns = static_cast<double>(share_ns());
    out.windows_per_s = out.armed_share / out.window_ns * 1e9;
  } else if (site.place == Place::kVisited && bounded()) {
    const Windows::Reach reach = windows_.reach(site.tier);
    out.windows_per_s = reach.per_s;
    out.window_ns = per_s > 0 ? windows_.alike_ns(site.tier, per_s) : reach.length_ns;
  }
  return out;
}

Status Planner::Impl::status() const {
  Status out;
  out.sites = static_cast<std::uint32_t>(sites_.size());
  std::size_t links = 0;
  for (const LinkRecord& link : links_.all()) {
    links += link.armed() ? 1 : 0;
  }
  double armed = 0;
  double operations = 0;
  double seen = 0;
  for (SiteId id = 0; id < sites_.size(); ++id) {
    const Site& site = sites_[id];
    const double part = armed_share(site);
    out.sites_always += site.place == Place::kAlways ? 1 : 0;
    out.sites_visited += site.place == Place::kVisited ? 1 : 0;
    out.sites_waiting += site.place == Place::kWaiting ? 1 : 0;
    armed += part;
    operations += static_cast<double>(site.hits_per_cpu_s);
    seen += part * static_cast<double>(site.hits_per_cpu_s);
  }
  out.armed_share = sites_.size() > 0 ? armed / static_cast<double>(sites_.size()) : 0;
  out.seen_share = operations > 0 ? seen / operations : out.armed_share;
  out.cost_ppm = members_.cost_ppm();
  out.cost_peak_ppm = members_.second_ppm();
  out.decides = members_.nearest();
  out.switches = switches_;
  out.trips = members_.trips();
  if (settings_.sampling == Sampling::kFull) {
    out.mode = "full";
  } else if (settings_.sampling == Sampling::kShare) {
    out.mode = fmt::format("1/{}", std::max<std::uint32_t>(settings_.one_in, 1));
  } else if (links == 0 && now_ns_ < hold_ns_) {
    out.mode = "off: over budget";
  } else if (out.seen_share > 0.67) {
    out.mode = "auto";
  } else {
    out.mode = fmt::format("auto 1/{}", std::lround(1 / std::max(out.seen_share, 1e-9)));
  }
  return out;
}

}  // namespace mapwatch::govern
