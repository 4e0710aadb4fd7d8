// What the planner decides against cost: how sites lose their place, and how links are made and given up.
#include <algorithm>
#include <utility>

#include "govern/planner_impl.h"

namespace mapwatch::govern {

namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;

/// After a surprise nothing is armed for so long, doubled by each further one within ten seconds.
constexpr std::uint64_t kHoldNs = 100 * kMs;
constexpr std::uint64_t kMostHoldNs = 5 * kSecond;
/// A site that was too hot is not always-on again before this, doubled each time that it was.
constexpr std::uint64_t kReturnNs = 2 * kSecond;
constexpr std::uint8_t kMostDemotions = 9;
/// Always-on sites that cost more than their share are thinned out down to this part of it.
constexpr double kThinTo = 0.85;
/// By a few links a second: each costs its switching.
constexpr std::size_t kMostThinned = 3;
/// At this strain everything that costs anything goes.
constexpr double kTooMuch = 0.93;
constexpr std::size_t kManySurprises = 6;
constexpr std::uint64_t kRetreatNs = 2 * kSecond;
constexpr std::uint32_t kMostRetreats = 5;
/// Costs a second are not told from less time than this.
constexpr std::uint64_t kLeastSpanNs = 20 * kMs;
/// So much at once is no reason to act.
constexpr double kNothingNs = 0.2e6;
/// What trials may cost between two ticks.
constexpr double kTrialBurstNs = 3e6;
/// What a link saves within this time must be worth its switching.
constexpr double kWorthSeconds = 1;
constexpr double kLeastCpus = 0.05;

}  // namespace

double Planner::Impl::switch_cpus() const { return std::max(kLeastCpus, members_.allowance().busiest_cpus); }

void Planner::Impl::charge_switch(Purpose purpose, double ns) {
  switched_ns_ += ns;
  (purpose == Purpose::kWindow ? visits_ : trials_).spend(ns * switch_cpus());
}

LinkId Planner::Impl::attach(std::vector<SiteId> sites, Purpose purpose, std::uint64_t length_ns,
                             std::uint64_t for_ns) {
  LinkRecord& link = links_.add();
  link.phase = LinkRecord::Phase::kAttaching;
  link.purpose = purpose;
  link.asked_ns = now_ns_;
  link.length_ns = length_ns;
  link.sites = sites;
  for (const SiteId id : sites) {
    Site& site = sites_[id];
    site.link = link.id;
    site.hits = 0;
    if (purpose == Purpose::kAlways) {
      sites_.set_place(id, Place::kAlways);
    }
  }
  charge_switch(purpose, CostModel::switch_ns(settings_.costs.attach, sites.size()));
  switches_ += 1;
  plan_.actions.push_back({ActionKind::kAttach, link.id, std::move(sites), for_ns});
  return link.id;
}

void Planner::Impl::detach(LinkRecord& link) {
  link.phase = LinkRecord::Phase::kDetaching;
  for (const SiteId id : link.sites) {
    if (sites_[id].place == Place::kAlways) {
      sites_.set_place(id, Place::kWaiting);
    }
  }
  charge_switch(link.purpose, CostModel::switch_ns(settings_.costs.detach, link.sites.size()));
  switches_ += 1;
  const auto first_attach = std::find_if(plan_.actions.begin(), plan_.actions.end(),
                                         [](const Action& each) { return each.kind != ActionKind::kDetach; });
  plan_.actions.insert(first_attach, {ActionKind::kDetach, link.id, {}, kForEver});
}

void Planner::Impl::demote(SiteId id, double hits_per_cpu_s) {
  Site& site = sites_[id];
  sites_.set_place(id, Place::kVisited);
  site.hits_per_cpu_s = std::max(site.hits_per_cpu_s, static_cast<float>(hits_per_cpu_s));
  site.known = true;
  site.demotions = std::min(static_cast<std::uint8_t>(site.demotions + 1), kMostDemotions);
  site.retry_ns = now_ns_ + (kReturnNs << site.demotions);
  slow_ns_ = now_ns_;
}

bool Planner::Impl::drop(const std::vector<Hot>& sites, bool all) {
  struct Going {
    LinkRecord* link = nullptr;
    double share = 0;
  };
  std::vector<Going> going;
  for (const Hot& each : sites) {
    LinkRecord* link = links_.find(sites_[each.site].link);
    if (link == nullptr) {
      continue;
    }
    const auto at = std::find_if(going.begin(), going.end(), [link](const Going& other) { return other.link == link; });
    Going& entry = at == going.end() ? going.emplace_back(Going{link, 0}) : *at;
    entry.share += each.cost;
  }
  const double cpus = std::max(kLeastCpus, members_.allowance().cpus);
  std::erase_if(going, [&](const Going& each) {
    const double switching = CostModel::switch_ns(settings_.costs.detach, each.link->sites.size()) +
                             CostModel::switch_ns(settings_.costs.attach, each.link->sites.size());
    return !all && each.share * cpus * kWorthSeconds * 1e9 < switching * switch_cpus();
  });
  std::sort(going.begin(), going.end(), [](const Going& a, const Going& b) { return a.share > b.share; });
  for (const Going& each : going) {
    detach(*each.link);
  }
  for (const Hot& each : sites) {
    const Site& site = sites_[each.site];
    const LinkRecord* link = links_.find(site.link);
    if (link != nullptr && !link->armed() && site.place != Place::kVisited) {
      demote(each.site, each.cost * 1e9 / sites_.hit_ns(site));
    }
  }
  return !going.empty();
}

// Too much is going on: what is hot goes at once.
void Planner::Impl::curb() {
  const Allowance& allowance = members_.allowance();
  const bool over = allowance.strain > kTooMuch || allowance.left_ns < allowance.surprise_ns;
  const bool burst = always_.left() < 0 || trials_ns_ > kTrialBurstNs;
  if (!members_.tripped() && !over && !burst) {
    return;
  }
  // Traps beyond a limit are paid for, and counted by no site.
  const double going_on = std::max(going_on_ns_, allowance.hits_ns);
  if (!burst && going_on <= kShares.always * allowance.earned_ns + kNothingNs) {
    members_.forgive();
    return;
  }
  while (!surprises_.empty() && surprises_.front() + 10 * kSecond < now_ns_) {
    surprises_.pop_front();
  }
  if (members_.tripped()) {
    surprises_.push_back(now_ns_);
    if (allowance.strain > kTooMuch && surprises_.size() > kManySurprises) {
      retreat();
      return;
    }
  }
  // Shares of the CPU time: as they were of late, or in this sample if that is more.
  const double cpu_ns = std::max(allowance.cpu_ns, allowance.cpus * static_cast<double>(kLeastSpanNs));
  std::vector<Hot> hot;
  double share = 0;
  for (const Hot& each : touched_) {
    const Site& site = sites_[each.site];
    const double usual = site.place == Place::kAlways ? sites_.share(site) : 0;
    hot.push_back({each.site, std::max(usual, each.cost / std::max(cpu_ns, 1.0))});
    share += hot.back().cost;
  }
  std::sort(hot.begin(), hot.end(), [](const Hot& a, const Hot& b) { return a.cost > b.cost; });
  std::size_t count = 0;
  while (count < hot.size() && share > allowance.always_share / 2) {
    share -= hot[count++].cost;
  }
  hot.resize(count);
  always_.grant(0.3);
  if (!drop(hot, false)) {
    if (members_.tripped() && now_ns_ < dropped_ns_ + 2 * settings_.reaction_ns) {
      curbed_ = true;  // what is going on may be the last of those that go
    } else {
      members_.forgive();
    }
    return;
  }
  curbed_ = true;
  dropped_ns_ = now_ns_;
  ramp_ = 1;
  hold_ns_ = now_ns_ + std::min(kMostHoldNs, kHoldNs << std::min<std::size_t>(surprises_.size(), 6));
}

// Surprise upon surprise, whichever sites were taken away: all of them go, and come back one link at a time.
void Planner::Impl::retreat() {
  std::vector<LinkRecord*> going;
  for (LinkRecord& link : links_.all()) {
    if (link.armed()) {
      going.push_back(&link);
    }
  }
  std::sort(going.begin(), going.end(),
            [](const LinkRecord* a, const LinkRecord* b) { return a->last_cost_ns > b->last_cost_ns; });
  for (LinkRecord* link : going) {
    detach(*link);
  }
  curbed_ = true;
  ramp_ = 1;
  hold_ns_ = now_ns_ + (kRetreatNs << std::min(retreats_, kMostRetreats));
  retreats_ += 1;
  surprises_.clear();
}

// The always-on sites have come to cost more than their share: the hottest become visited ones.
void Planner::Impl::cool_down() {
  const double allowed = members_.allowance().always_share;
  double share = sites_.always_share();
  if (curbed_ || share <= allowed || now_ns_ < thin_ns_) {
    return;
  }
  std::vector<Hot> hottest;
  for (const Hot& each : touched_) {
    const Site& site = sites_[each.site];
    if (site.place == Place::kAlways) {
      hottest.push_back({each.site, sites_.heat(site, now_ns_)});
    }
  }
  std::sort(hottest.begin(), hottest.end(), [](const Hot& a, const Hot& b) { return a.cost > b.cost; });
  std::vector<Hot> going;
  std::vector<LinkId> links;
  for (const Hot& each : hottest) {
    const LinkId link = sites_[each.site].link;
    const bool known = std::find(links.begin(), links.end(), link) != links.end();
    if (share <= kThinTo * allowed || (!known && links.size() == kMostThinned)) {
      break;
    }
    if (!known) {
      links.push_back(link);
    }
    going.push_back({each.site, sites_.share(sites_[each.site])});
    share -= going.back().cost;
  }
  drop(going, true);
  thin_ns_ = now_ns_ + kSecond;
}

void Planner::Impl::end_visits() {
  for (LinkRecord& link : links_.all()) {
    if (link.purpose == Purpose::kWindow && link.end_ns() <= now_ns_) {
      detach(link);
    }
  }
}

}  // namespace mapwatch::govern
