// What the planner decides for coverage: how sites come, come back and are visited.
#include <algorithm>
#include <utility>

#include "govern/planner_impl.h"

namespace mapwatch::govern {

namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;

/// A trial tells a site of 50 hits/s from one of none.
constexpr std::uint64_t kTrialNs = 20 * kMs;
/// A trial whose planner is not ticked ends by itself after so many times its length.
constexpr std::uint64_t kPatience = 5;
/// Trials at once: at first, and when all goes well.
constexpr std::uint32_t kFirstRamp = 4;
constexpr std::uint32_t kMostRamp = 16;
/// Always-on sites are filled up to this part of their share.
constexpr double kFillTo = 0.75;
/// A site that is known to take more than this part of it does not begin as an always-on one.
constexpr double kHotPart = 0.05;
/// Strain (a part of the bound) at which nothing is armed anew, and at which nothing is visited.
constexpr double kNoMoreTrials = 0.8;
constexpr double kNoMoreVisits = 0.88;
/// Of what always-on sites do not use, for visits.
constexpr double kVisitsMore = 0.5;
/// Of the budget, by visits while sites still wait to be armed.
constexpr double kVisitsMeanwhile = 0.1;
/// Remnants of links, when there are more than so many, are made one.
constexpr std::size_t kRemnantSites = 32;
constexpr std::size_t kMostRemnants = 8;
constexpr double kTrialBurstNs = 3e6;
/// Sites are trusted when they stayed cool while the group used so much CPU time.
constexpr double kTrustNs = 50e6;
/// What a surprise costs before it trips.
constexpr double kTripNs = 1e6;
/// Ticks: after one that found too much going on; while things change; when they do not.
constexpr std::uint64_t kWatchfulNs = 5 * kMs;
constexpr std::uint64_t kShortPeriodNs = 100 * kMs;
constexpr std::uint64_t kLongPeriodNs = kSecond;
constexpr std::uint64_t kLeastPeriodNs = kMs / 2;
/// --sample 1/N: a window is so long, and longer where there are many sites to patch.
constexpr std::uint64_t kShareNs = 50 * kMs;
constexpr std::uint64_t kShareSiteNs = 50'000;

}  // namespace

bool Planner::Impl::may_arm() const {
  return !curbed_ && now_ns_ >= hold_ns_ && members_.allowance().strain < kNoMoreTrials;
}

void Planner::Impl::end_trials() {
  for (LinkRecord& link : links_.all()) {
    if (link.purpose == Purpose::kTrial && link.end_ns() <= now_ns_) {
      end_trial(link);
    }
  }
}

// The sites that fit in, the coolest first, are always-on from now on; if there are others, the link goes.
void Planner::Impl::end_trial(LinkRecord& link) {
  const Allowance& allowance = members_.allowance();
  const double used = cpu_ns_ - link.cpu_ns;
  const double cpu_ns = std::max(used, 1e6);
  std::vector<Hot> hit;
  for (const SiteId id : link.sites) {
    const Site& site = sites_[id];
    if (site.hits > 0) {
      hit.push_back({id, site.hits * sites_.hit_ns(site) / cpu_ns});
    }
  }
  std::sort(hit.begin(), hit.end(), [](const Hot& a, const Hot& b) { return a.cost < b.cost; });
  double room = allowance.always_share - sites_.always_share();
  std::size_t fit = 0;
  while (fit < hit.size() && hit[fit].cost <= kHotPart * allowance.always_share && (room -= hit[fit].cost) >= 0) {
    ++fit;
  }
  if (fit < hit.size()) {
    hit.erase(hit.begin(), hit.begin() + static_cast<std::ptrdiff_t>(fit));
    drop(hit, true);
    return;
  }
  for (const SiteId id : link.sites) {
    sites_.visited(id, used, now_ns_ - link.since_ns);
    sites_.set_place(id, Place::kAlways);
  }
  link.purpose = Purpose::kAlways;
  plan_.actions.push_back({ActionKind::kKeep, link.id, {}, kForEver});
  ramp_ = std::min(kMostRamp, std::max(ramp_, kFirstRamp) * 2);
}

// Once a second: sites that have cooled down are tried again, the coolest first; visits are planned anew.
void Planner::Impl::let_return() {
  if (now_ns_ < slow_ns_) {
    return;
  }
  slow_ns_ = now_ns_ + kSecond;
  const Allowance& allowance = members_.allowance();
  if (may_arm() && trials_.left() > 0 && waiting_.empty() && standing_trials() == 0) {
    double room = kFillTo * allowance.always_share - sites_.always_share();
    std::vector<Hot> cool;
    for (const SiteId id : sites_.visited_sites()) {
      const Site& site = sites_[id];
      if (site.link == 0 && now_ns_ >= site.retry_ns && sites_.share(site) <= room) {
        cool.push_back({id, sites_.heat(site, now_ns_)});
      }
    }
    std::sort(cool.begin(), cool.end(), [](const Hot& a, const Hot& b) { return a.cost < b.cost; });
    std::vector<SiteId> lot;
    for (const Hot& each : cool) {
      room -= sites_.share(sites_[each.site]);
      if (room < 0 || lot.size() >= settings_.sites_per_link) {
        break;
      }
      sites_.set_place(each.site, Place::kWaiting);
      lot.push_back(each.site);
    }
    if (!lot.empty()) {
      attach(std::move(lot), Purpose::kTrial, kTrialNs, kPatience * kTrialNs);
    }
  }
  sites_.sort_into_tiers(now_ns_);
  const double visits = waiting_.empty() ? visits_part() : kVisitsMeanwhile;
  windows_.plan(sites_.tiers(), {visits * allowance.rate_ns_per_s, allowance.peak_cpus, allowance.busiest_peak},
                now_ns_);
}

double Planner::Impl::visits_part() const {
  const double allowed = members_.allowance().always_share;
  const double used = allowed > 0 ? std::min(1.0, sites_.always_share() / allowed) : 0;
  return kShares.visits + kVisitsMore * kShares.always * (1 - used);
}

void Planner::Impl::gather_remnants() {
  if (!may_arm() || !waiting_.empty() || trials_.left() < 0) {
    return;
  }
  std::vector<LinkRecord*> small;
  std::size_t sites = 0;
  for (LinkRecord& link : links_.all()) {
    if (link.phase == LinkRecord::Phase::kStanding && link.purpose == Purpose::kAlways &&
        link.sites.size() < kRemnantSites && sites + link.sites.size() <= settings_.sites_per_link) {
      small.push_back(&link);
      sites += link.sites.size();
    }
  }
  if (small.size() > kMostRemnants) {
    for (LinkRecord* link : small) {
      detach(*link);
    }
  }
}

double Planner::Impl::exposure_ns() const {
  double out = 0;
  for (const LinkRecord& link : links_.all()) {
    if (link.armed() && !link.trusted && link.purpose != Purpose::kWindow) {
      out += CostModel::switch_ns(settings_.costs.detach, link.sites.size());
    }
  }
  return out * std::max(1.0, members_.allowance().busiest_peak);
}

void Planner::Impl::gain_trust() {
  for (LinkRecord& link : links_.all()) {
    if (link.trusted || link.phase != LinkRecord::Phase::kStanding || link.purpose == Purpose::kWindow ||
        cpu_ns_ - link.cpu_ns < kTrustNs) {
      continue;
    }
    link.trusted = true;
    for (const SiteId id : link.sites) {
      sites_[id].trusted = true;
    }
  }
}

std::uint32_t Planner::Impl::standing_trials() const {
  std::uint32_t trials = 0;
  for (const LinkRecord& link : links_.all()) {
    trials += link.armed() && link.purpose == Purpose::kTrial ? 1 : 0;
  }
  return trials;
}

double Planner::Impl::planned_visits_ns() const {
  double out = 0;
  for (const LinkRecord& link : links_.all()) {
    out += link.armed() && link.purpose == Purpose::kWindow ? link.planned_ns : 0;
  }
  return out;
}

double Planner::Impl::most_ns() const {
  const double trial = standing_trials() > 0 ? std::min(trials_.left(), kTrialBurstNs) : 0;
  return std::max(0.0, always_.left()) + std::max(0.0, trial) + 2 * planned_visits_ns();
}

std::vector<SiteId> Planner::Impl::take_waiting() {
  std::vector<SiteId> lot;
  const double hot = kHotPart * members_.allowance().always_share;
  while (!waiting_.empty() && lot.size() < settings_.sites_per_link) {
    const SiteId id = waiting_.front();
    waiting_.pop_front();
    const Site& site = sites_[id];
    if (site.place != Place::kWaiting || site.link != 0) {
      continue;
    }
    if (site.known && sites_.share(site) > hot) {
      sites_.set_place(id, Place::kVisited);
      slow_ns_ = now_ns_ + kLeastPeriodNs;
      continue;
    }
    lot.push_back(id);
  }
  return lot;
}

void Planner::Impl::arm_waiting() {
  if (waiting_.empty() || !may_arm()) {
    return;
  }
  ramp_ = ramp_ == 0 ? kFirstRamp : ramp_;
  const Allowance& allowance = members_.allowance();
  // A process that works no more has less to spare than what it worked for still tells.
  const double spare = std::min(allowance.left_ten_ns, 10 * allowance.rate_ns_per_s);
  double room = spare - allowance.surprise_ns - kTripNs - exposure_ns();
  for (std::uint32_t trials = standing_trials(); trials < ramp_ && trials_.left() > 0 && room > 0; ++trials) {
    std::vector<SiteId> lot = take_waiting();
    if (lot.empty()) {
      break;
    }
    const double cost = CostModel::switch_ns(settings_.costs.detach, lot.size());
    LinkRecord* link = links_.find(attach(std::move(lot), Purpose::kTrial, kTrialNs, kPatience * kTrialNs));
    link->trusted = std::all_of(link->sites.begin(), link->sites.end(), [&](SiteId id) { return sites_[id].trusted; });
    room -= link->trusted ? 0 : cost * std::max(1.0, allowance.busiest_peak);
  }
}

void Planner::Impl::visit() {
  if (curbed_ || now_ns_ < hold_ns_) {
    return;
  }
  const Allowance& allowance = members_.allowance();
  while (const auto depth = windows_.take_due(now_ns_)) {
    if (allowance.strain > kNoMoreVisits || visits_.left() < 0) {
      continue;
    }
    std::vector<SiteId> sites;
    for (const SiteId id : sites_.visited_sites()) {
      if (sites_[id].tier <= *depth && sites_[id].link == 0) {
        sites.push_back(id);
      }
    }
    if (sites.empty()) {
      continue;
    }
    for (std::size_t i = 0; sites.size() > Windows::kMostSites && i < Windows::kMostSites; ++i) {
      std::swap(sites[i], sites[i + random_.next() % (sites.size() - i)]);
    }
    sites.resize(std::min<std::size_t>(sites.size(), Windows::kMostSites));
    double share = 0;
    for (const SiteId id : sites) {
      share += sites_.share(sites_[id]);
    }
    const auto length = whole_ns(windows_.depth(*depth).length_ns);
    LinkRecord* link = links_.find(attach(std::move(sites), Purpose::kWindow, length, length));
    link->planned_ns = std::min(share, 1.0) * std::max(allowance.peak_cpus, 0.05) * static_cast<double>(length);
  }
}

void Planner::Impl::arm_all() {
  while (!waiting_.empty()) {
    std::vector<SiteId> lot = take_waiting();
    if (!lot.empty()) {
      attach(std::move(lot), Purpose::kAlways, kForEver, kForEver);
    }
  }
}

std::uint64_t Planner::Impl::share_ns() const {
  return std::max<std::uint64_t>(kShareNs, sites_.size() * kShareSiteNs);
}

void Planner::Impl::visit_all() {
  for (const LinkRecord& link : links_.all()) {
    if (link.phase != LinkRecord::Phase::kFree) {
      return;
    }
  }
  const std::uint64_t length = share_ns();
  if (visit_all_ns_ == 0 && sites_.size() > 0) {
    // What switching took from the share so far is made up for.
    const double others = std::max<std::uint32_t>(settings_.one_in, 1) - 1;
    const double armed = static_cast<double>(sites_[0].armed_ns);
    const double away = static_cast<double>(now_ns_ - started_ns_) - armed;
    const double gap = others * static_cast<double>(length) + (others * armed - away) / 2;
    visit_all_ns_ = now_ns_ + (gap > 0 ? whole_ns(random_.gap_ns(1e9 / gap)) : 0);
  }
  if (now_ns_ < visit_all_ns_ || sites_.size() == 0) {
    return;
  }
  visit_all_ns_ = 0;
  std::vector<SiteId> sites(sites_.size());
  for (std::size_t i = 0; i < sites.size(); ++i) {
    sites[i] = static_cast<SiteId>(i);
  }
  attach(std::move(sites), Purpose::kWindow, length, length);
}

std::uint64_t Planner::Impl::next_tick() {
  if (curbed_) {
    period_ns_ = kShortPeriodNs;
    return now_ns_ + kWatchfulNs;
  }
  if (!plan_.actions.empty() || members_.allowance().strain > kNoMoreTrials || period_ns_ == 0) {
    period_ns_ = kShortPeriodNs;
  } else {
    period_ns_ = std::min(kLongPeriodNs, period_ns_ + period_ns_ / 2);
  }
  std::uint64_t next = now_ns_ + period_ns_;
  for (const LinkRecord& link : links_.all()) {
    if (link.purpose != Purpose::kAlways) {
      next = std::min(next, link.end_ns());
    }
  }
  if (bounded()) {
    next = std::min(next, std::max(windows_.next_ns(), hold_ns_));
    if (!waiting_.empty() && hold_ns_ > now_ns_) {
      next = std::min(next, hold_ns_);
    }
  } else if (visit_all_ns_ > 0) {
    next = std::min(next, visit_all_ns_);
  }
  return std::max(next, now_ns_ + kLeastPeriodNs);
}

}  // namespace mapwatch::govern
