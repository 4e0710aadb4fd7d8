// What the governor does again and again: counters to the planners, their plans to the switcher and the kernel side.
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "app/governor.h"
#include "base/log.h"

namespace mapwatch::app {

namespace {

constexpr std::uint64_t kEarly = 8;  // a tick is due after 8/9 of its time
constexpr std::size_t kMany = 8;     // members whose counters are read together

}  // namespace

std::uint64_t Governor::cpu_ns(std::uint32_t tgid) {
  clockid_t id = 0;
  timespec time = {};
  if (::clock_getcpuclockid(static_cast<pid_t>(tgid), &id) != 0 || ::clock_gettime(id, &time) != 0) {
    return 0;
  }
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

std::vector<govern::SiteHits> Governor::read_sites(Group& group) {
  Sites& sites = group.sites;
  std::vector<govern::SiteHits> hits;
  const auto all = kernel_.site_counts(sites.first, sites.plan->probes.size());
  if (!all) {
    log::print_error(all.error());
    return hits;
  }
  for (govern::SiteId site = 0; site < sites.probes.size(); ++site) {
    const std::uint32_t probe = sites.probes[site];
    const mw_site_counts now = (*all)[probe];
    mw_site_counts& before = sites.counts[site];
    if (now.hits != before.hits) {
      hits.push_back({site, now.hits - before.hits, now.candidates - before.candidates});
      cost_ns_ += costs_.hit_ns(sites.plan->probes[probe].site_class, now.hits - before.hits);
      hits_[sites.plan->probes[probe].op] += now.hits - before.hits;
      before = now;
    }
  }
  return hits;
}

std::vector<govern::MemberSample> Governor::read_members(Group& group) {
  std::vector<govern::MemberSample> members;
  for (auto& [tgid, member] : group.members) {
    const std::uint64_t used = std::max(member.cpu_ns, cpu_ns(tgid));
    const auto read = charged_.find(tgid);
    const mw_target_counts counts =
        read != charged_.end() ? read->second : kernel_.target_counters(tgid).value_or(member.counts);
    govern::MemberSample sample;
    sample.member = tgid;
    // What it used before is spread over its life: how much of it was of late is not known.
    sample.cpu_ns = member.fresh ? used : used - member.cpu_ns;
    sample.cpu_over_ns = member.fresh ? member.who.lived_ns : 0;
    sample.held_ns = counts.held_ns - member.counts.held_ns;
    sample.hits = counts.hits - member.counts.hits;
    sample.cpus = member.who.cpus;
    sample.budget_ppm = member.budget_ppm;
    sample.tripped = member.tripped.has_value();
    sample.epoch = member.tripped.value_or(0);
    cost_ns_ += static_cast<double>(sample.held_ns);
    member.cpu_ns = used;
    member.fresh = false;
    member.counts = counts;
    member.tripped.reset();
    members.push_back(sample);
  }
  return members;
}

govern::Plan Governor::tick(Group& group, std::uint64_t now) {
  const auto hits = read_sites(group);
  const auto members = read_members(group);
  const auto signals = std::exchange(group.signals, {});
  const auto done = std::exchange(group.done, {});
  govern::Plan plan = group.sites.planner->tick({now, hits, signals, members, done});
  group.ticked_ns = now;
  group.next_ns = plan.next_ns;
  group.due = false;
  return plan;
}

void Governor::tell_unless_gone(const Result<void>& done) {
  if (!done && done.error().kind != ErrorKind::kGone) {
    log::print_error(done.error());
  }
}

void Governor::set_limits(Group& group, const govern::Plan& plan) {
  for (auto& [tgid, member] : group.members) {
    if (member.partial != plan.partial) {
      member.partial = plan.partial;
      tell_unless_gone(kernel_.set_flag(tgid, MW_POLICY_PARTIAL, plan.partial));
    }
  }
  if (group.settings.sampling == govern::Sampling::kFull) {
    return;  // what a process may be held is as it was set
  }
  for (const govern::MemberLimits& limits : plan.limits) {
    // 0 is no limit to the kernel side.
    const std::uint64_t hits = limits.hits == UINT64_MAX ? 0 : std::max<std::uint64_t>(limits.hits, 1);
    if (const auto member = group.members.find(limits.member); member != group.members.end()) {
      member->second.limits = limits;
    }
    tell_unless_gone(
        kernel_.set_limits(limits.member, {limits.epoch, hits, limits.dwell_share_ppm, limits.dwell_burst_ns}));
  }
}

void Governor::apply(Group& group, govern::Plan plan) {
  set_limits(group, plan);
  for (govern::Action& action : plan.actions) {
    const attach::Switcher::Name name{group.links, action.link};
    switch (action.kind) {
      case govern::ActionKind::kDetach:
        switcher_->detach(name);
        break;
      case govern::ActionKind::kAttach:
        switcher_->attach(name, maker(group, std::move(action.sites)), action.for_ns);
        break;
      case govern::ActionKind::kKeep:
        switcher_->keep(name, action.for_ns);
        break;
    }
  }
}

Result<void> Governor::apply_now(Group& group, govern::Plan plan) {
  govern::Plan rest = plan;
  std::erase_if(rest.actions, [](const govern::Action& action) { return action.kind == govern::ActionKind::kAttach; });
  apply(group, std::move(rest));
  for (govern::Action& action : plan.actions) {
    if (action.kind != govern::ActionKind::kAttach) {
      continue;
    }
    const attach::Switcher::Name name{group.links, action.link};
    const auto done = TRY(switcher_->attach_now(name, maker(group, std::move(action.sites)), action.for_ns));
    group.done.push_back({action.link, true, false, done.began_ns, done.ended_ns});
  }
  group.due = true;
  return {};
}

void Governor::tripped(std::uint32_t tgid, std::uint32_t epoch) {
  if (Group* group = group_of(tgid)) {
    group->members.at(tgid).tripped = epoch;
    group->due = true;
    set_timer();
  }
}

void Governor::overlap(std::uint32_t tgid, std::uint32_t site) {
  Group* group = group_of(tgid);
  if (group == nullptr) {
    return;
  }
  const std::vector<std::uint32_t>& probes = group->sites.probes;
  const auto probe = std::ranges::lower_bound(probes, site - group->sites.first);
  if (probe != probes.end() && *probe == site - group->sites.first) {
    group->signals.push_back({static_cast<govern::SiteId>(probe - probes.begin()), govern::SignalKind::kOverlap});
    group->due = true;
  }
}

void Governor::take_done() {
  for (attach::Switcher::Done& done : switcher_->done()) {
    const auto id = by_links_.find(done.name.first);
    const auto group = id == by_links_.end() ? groups_.end() : groups_.find(id->second);
    if (group == groups_.end()) {
      continue;
    }
    if (done.error && done.error->kind != ErrorKind::kGone) {
      log::warn("{}", log::printable(done.error->message));
    }
    group->second.done.push_back(
        {done.name.second, done.attached, done.error.has_value(), done.began_ns, done.ended_ns});
    group->second.due = true;
  }
}

bool Governor::is_due(const Group& group, std::uint64_t now) {
  return group.due || group.next_ns <= now + (now - group.ticked_ns) / kEarly;
}

void Governor::read_charged(std::uint64_t now) {
  std::size_t due = 0;
  for (const auto& [id, group] : groups_) {
    due += is_due(group, now) ? group.members.size() : 0;
  }
  if (due >= kMany) {
    if (auto all = kernel_.target_counters()) {
      charged_ = std::move(*all);
    }
  }
}

void Governor::turn() {
  take_done();
  const std::uint64_t now = clock_.monotonic_ns();
  plan_calls(now);
  read_charged(now);
  for (auto& [id, group] : groups_) {
    turn_to_calls(group, now);
    if (is_due(group, now)) {
      apply(group, tick(group, now));
    }
  }
  charged_.clear();
  set_timer();
}

void Governor::set_timer() {
  std::uint64_t next = UINT64_MAX;
  for (const auto& [id, group] : groups_) {
    next = std::min(next, group.due ? 1 : group.next_ns);  // a time that is past fires at once; 0 would disarm it
  }
  itimerspec when = {};
  if (next != UINT64_MAX) {
    when.it_value.tv_sec = static_cast<time_t>(next / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(next % 1'000'000'000);
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

Governor::Totals Governor::totals() const {
  Totals totals;
  totals.cost_ns = cost_ns_;
  double shares = site_shares_;
  totals.sites = sites_gone_;
  for (const auto& [id, group] : groups_) {
    for (govern::SiteId site = 0; site < group.sites.probes.size(); ++site) {
      const govern::SiteState state = group.sites.planner->site(site);
      shares += state.measured_share;
      totals.sites_armed += state.armed;
    }
    totals.sites += group.sites.probes.size();
  }
  totals.crowded = crowded_;
  totals.armed_share = totals.sites > 0 ? shares / static_cast<double>(totals.sites) : 0;
  return totals;
}

}  // namespace mapwatch::app
