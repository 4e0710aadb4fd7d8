#include "govern/planner.h"

#include <algorithm>
#include <utility>

#include "govern/planner_impl.h"

namespace mapwatch::govern {

namespace {

/// How long a near miss makes a site worth more visits.
constexpr std::uint64_t kNearNs = 30'000'000'000;
/// A site whose attach failed is tried in other links, so often.
constexpr std::uint8_t kTries = 3;
/// From the call that detaches to the moment when the text is as in the file, as measured (docs/governor.md).
constexpr std::uint64_t kRestoreNs = 200'000;
constexpr std::uint64_t kRestoreSiteNs = 3'000;
/// The heat of always-on sites is that of about so many seconds of the group in which it is as busy as it gets.
constexpr double kMemoryNs = 3e9;
/// What the buckets hold at least, ns of cost: that of the always-on sites, and the others.
constexpr double kLeastBurstNs = 1e6;
constexpr double kLeastSpendNs = 0.5e6;
/// How much more than its share always-on sites may cost before they are cut down at once.
constexpr double kAlwaysMargin = 1.2;
/// Of what is earned: for trials and regrouping at least, and with what always-on sites do not use.
constexpr double kTrialsLeast = 0.1;
constexpr double kTrialsMost = 0.25;
/// While sites wait for their trials, dwells leave them this much.
constexpr double kKeptForTrials = 0.2;
/// Seconds of all that may be charged, for trials at once.
constexpr double kTrialsAtOnce = 1;
/// Visits have this part of their share where it does not flow steadily.
constexpr double kUnsteadyVisits = 0.6;
/// Both grow by this where the CPU time flows steadily: what is spent at once is then covered whenever one looks.
constexpr double kSteadyMost = 0.25;
constexpr double kSteadyAtOnce = 0.8;

/// Half as many links as there can be, so that remnants and visits find room.
Settings within_bounds(Settings settings, std::size_t sites) {
  const auto least = static_cast<std::uint32_t>(sites / (Links::kMost / 2) + 1);
  settings.sites_per_link = std::max(settings.sites_per_link, least);
  return settings;
}

}  // namespace

Planner::Impl::Impl(const Settings& settings, std::span<const mw_site_class> classes)
    : settings_(within_bounds(settings, classes.size())),
      random_(settings.seed),
      sites_(classes, settings.costs),
      members_({settings.budget_ppm, settings.floor_ppm, settings.reaction_ns, bounded()}),
      windows_(settings.costs, random_),
      hit_ns_(settings.costs.ns_per_hit[MW_SITE_CALL]) {
  for (std::size_t id = 0; id < classes.size(); ++id) {
    waiting_.push_back(static_cast<SiteId>(id));
  }
}

Plan Planner::Impl::tick(const Sample& sample) {
  if (!started_) {
    started_ = true;
    started_ns_ = now_ns_ = slow_ns_ = sample.now_ns;
  }
  const std::uint64_t before_ns = now_ns_;
  now_ns_ = std::max(now_ns_, sample.now_ns);
  elapsed_ns_ = now_ns_ - before_ns;
  plan_ = {};
  curbed_ = false;
  take_done(sample.done);
  members_.book(sample.members, count(sample.hits), before_ns, now_ns_);
  const Allowance& allowance = members_.allowance();
  cpu_ns_ += allowance.cpu_ns;
  sites_.pass(allowance.cpu_ns, kMemoryNs * std::max(1.0, allowance.peak_cpus));
  for (const SiteHits& each : sample.hits) {
    if (each.site < sites_.size() && sites_[each.site].place == Place::kAlways) {
      sites_.follow(sites_[each.site], each.hits);
      sites_.pace(each.site, each.hits, now_ns_, elapsed_ns_);
    }
  }
  heed(sample.signals);
  refill();
  switch (settings_.sampling) {
    case Sampling::kAuto:
      curb();
      gain_trust();
      end_trials();
      end_visits();
      cool_down();
      let_return();
      gather_remnants();
      arm_waiting();
      visit();
      break;
    case Sampling::kFull:
      arm_all();
      break;
    case Sampling::kShare:
      end_visits();
      visit_all();
      break;
  }
  plan_.partial = sites_.always() < sites_.size();
  plan_.next_ns = next_tick();
  plan_.limits = members_.limits(most_ns(), hit_ns_, waiting_.empty() ? 0 : kKeptForTrials);
  return std::exchange(plan_, {});
}

void Planner::Impl::take_done(std::span<const LinkDone> done) {
  for (const LinkDone& each : done) {
    LinkRecord* link = links_.find(each.link);
    if (link == nullptr) {
      continue;
    }
    if (each.attached) {
      link->since_ns = std::clamp(each.ended_ns, link->asked_ns, now_ns_);
      link->cpu_ns = cpu_ns_;
      if (link->phase == LinkRecord::Phase::kAttaching) {
        link->phase = LinkRecord::Phase::kStanding;
      }
      continue;
    }
    if (each.failed) {
      for (const SiteId id : link->sites) {
        if (++sites_[id].demotions >= kTries) {
          sites_.set_place(id, Place::kRefused);
        }
      }
    }
    finish(*link, each.began_ns);
  }
}

void Planner::Impl::finish(LinkRecord& link, std::uint64_t ended_ns) {
  const bool stood = link.since_ns > 0;
  const auto restored = kRestoreNs + kRestoreSiteNs * link.sites.size();
  const std::uint64_t armed = stood ? std::clamp(ended_ns + restored, link.since_ns, now_ns_) - link.since_ns : 0;
  if (link.purpose == Purpose::kWindow && stood) {
    windows_.paid(link.planned_ns, link.cost_ns);
    windows_.switched(static_cast<double>(now_ns_ - link.asked_ns) - static_cast<double>(armed));
    windows_.overran(static_cast<double>(armed) - static_cast<double>(link.length_ns));
  }
  const double cpu_ns = stood && now_ns_ > link.since_ns ? (cpu_ns_ - link.cpu_ns) * static_cast<double>(armed) /
                                                               static_cast<double>(now_ns_ - link.since_ns)
                                                         : 0;
  std::vector<SiteId> rest;
  for (const SiteId id : link.sites) {
    Site& site = sites_[id];
    site.armed_ns += armed;
    site.link = 0;
    if (link.purpose != Purpose::kAlways) {
      sites_.visited(id, cpu_ns, armed);
    }
    if (site.place == Place::kAlways) {
      sites_.set_place(id, Place::kWaiting);
    }
    if (site.place == Place::kWaiting) {
      rest.push_back(id);
    }
  }
  waiting_.insert(waiting_.begin(), rest.begin(), rest.end());
  link.phase = LinkRecord::Phase::kFree;
  link.sites = {};
}

GroupCost Planner::Impl::count(std::span<const SiteHits> hits) {
  GroupCost cost;
  cost.switch_ns = std::exchange(switched_ns_, 0);
  touched_.clear();
  going_on_ns_ = trials_ns_ = 0;
  for (LinkRecord& link : links_.all()) {
    link.last_cost_ns = 0;
  }
  std::uint64_t all = 0;
  for (const SiteHits& each : hits) {
    if (each.site >= sites_.size() || each.hits == 0) {
      continue;
    }
    Site& site = sites_[each.site];
    const double cost_ns = sites_.hit_ns(site) * static_cast<double>(each.hits);
    cost.hits_ns += cost_ns;
    all += each.hits;
    sites_.learn(site, each);
    if (site.place != Place::kAlways) {
      site.hits += static_cast<std::uint32_t>(std::min<std::uint64_t>(each.hits, 1u << 30));
    }
    LinkRecord* link = links_.find(site.link);
    if (link == nullptr) {
      continue;
    }
    link->cost_ns += cost_ns;
    link->last_cost_ns += cost_ns;
    switch (link->purpose) {
      case Purpose::kAlways:
        always_.spend(cost_ns);
        break;
      case Purpose::kTrial:
        trials_.spend(cost_ns);
        trials_ns_ += link->armed() ? cost_ns : 0;
        break;
      case Purpose::kWindow:
        visits_.spend(cost_ns);
        break;
    }
    if (link->armed()) {
      touched_.push_back({each.site, cost_ns});
      going_on_ns_ += cost_ns;
    }
  }
  if (all > 0) {
    hit_ns_ = cost.hits_ns / static_cast<double>(all);
  }
  cost.hit_ns = hit_ns_;
  return cost;
}

void Planner::Impl::refill() {
  if (members_.size() == 0) {
    return;
  }
  const Allowance& allowance = members_.allowance();
  const double always = kShares.always * allowance.rate_ns_per_s;
  always_.fill(kAlwaysMargin * kShares.always * allowance.earned_ns, std::max(kLeastBurstNs, always));
  const double spent = sites_.always_share() * allowance.cpu_ns;
  const double most = kTrialsMost + kSteadyMost * allowance.steadiness;
  const double at_once = kTrialsAtOnce + kSteadyAtOnce * allowance.steadiness;
  trials_.fill(std::max(kTrialsLeast * allowance.earned_ns, most * allowance.earned_ns - spent),
               std::max(kLeastSpendNs, at_once * allowance.rate_ns_per_s));
  const double visits = visits_part() * (kUnsteadyVisits + (1 - kUnsteadyVisits) * allowance.steadiness);
  visits_.fill(visits * allowance.earned_ns, std::max(kLeastSpendNs, visits * allowance.rate_ns_per_s));
}

void Planner::Impl::heed(std::span<const SiteSignal> signals) {
  for (const SiteSignal& signal : signals) {
    if (signal.site < sites_.size()) {
      sites_[signal.site].near_ns = now_ns_ + kNearNs;
      slow_ns_ = now_ns_;
    }
  }
}

void Planner::Impl::expect(std::span<const SiteHits> hits, std::uint64_t cpu_ns) {
  if (cpu_ns == 0) {
    return;
  }
  for (const SiteHits& each : hits) {
    if (each.site < sites_.size() && sites_[each.site].link == 0) {
      Site& site = sites_[each.site];
      site.hits_per_cpu_s = static_cast<float>(each.hits) * 1e9F / static_cast<float>(cpu_ns);
      site.known = true;
    }
  }
}

Planner::Planner(const Settings& settings, std::span<const mw_site_class> classes)
    : impl_(std::make_unique<Impl>(settings, classes)) {}
Planner::Planner(Planner&&) noexcept = default;
Planner& Planner::operator=(Planner&&) noexcept = default;
Planner::~Planner() = default;

void Planner::expect(std::span<const SiteHits> hits, std::uint64_t cpu_ns) { impl_->expect(hits, cpu_ns); }
void Planner::inherit(const Planner& before) { impl_->inherit(*before.impl_); }
Plan Planner::tick(const Sample& sample) { return impl_->tick(sample); }
std::vector<Link> Planner::links() const { return impl_->links(); }
SiteState Planner::site(SiteId site) const { return impl_->site(site); }
Visits Planner::visits(SiteId site, double per_s) const { return impl_->visits(site, per_s); }
Status Planner::status() const { return impl_->status(); }
double Planner::cost_ppm(MemberId member) const { return impl_->cost_ppm(member); }

}  // namespace mapwatch::govern
