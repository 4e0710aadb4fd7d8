#include "govern/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "govern/programs.h"

namespace mapwatch::govern {
namespace {

using sim::kMs;
using sim::kSecond;

constexpr MemberId kProcess = 4211;

std::vector<mw_site_class> calls(std::size_t count) { return std::vector<mw_site_class>(count, MW_SITE_CALL); }

/// Does what a plan asks for at once, and keeps what stands.
class Executor {
 public:
  explicit Executor(Planner& planner) : planner_(planner) {}

  Plan tick(std::uint64_t now_ns, std::vector<SiteHits> hits = {}, MemberSample member = {}) {
    member.member = member.member == 0 ? kProcess : member.member;
    member.cpu_ns = member.cpu_ns == 0 ? (now_ns - last_ns_) : member.cpu_ns;
    member.epoch = epoch_;
    Sample sample;
    sample.now_ns = now_ns;
    sample.hits = hits;
    sample.members = {&member, 1};
    sample.done = done_;
    sample.signals = signals_;
    Plan plan = planner_.tick(sample);
    signals_.clear();
    done_.clear();
    last_ns_ = now_ns;
    for (const MemberLimits& limits : plan.limits) {
      epoch_ = limits.epoch;
    }
    for (const Action& action : plan.actions) {
      perform(action, now_ns);
    }
    return plan;
  }
  /// Ticks when asked to until `time_ns`, without hits.
  void idle_until(std::uint64_t time_ns) {
    for (std::uint64_t now_ns = last_ns_; now_ns < time_ns;) {
      const Plan plan = tick(now_ns);
      now_ns = done_.empty() ? plan.next_ns : std::min(plan.next_ns, now_ns + kMs);
    }
  }

  bool armed(SiteId site) const {
    return std::any_of(standing_.begin(), standing_.end(), [site](const auto& each) {
      return std::find(each.second.begin(), each.second.end(), site) != each.second.end();
    });
  }
  const std::map<LinkId, std::vector<SiteId>>& standing() const { return standing_; }
  void fail_attaches(int count) { failures_ = count; }
  void signal(SiteId site) { signals_.push_back({site, SignalKind::kNearMiss}); }
  /// A link is gone by itself, as at its for_ns.
  void expire(LinkId link, std::uint64_t now_ns) {
    standing_.erase(link);
    done_.push_back({link, false, false, now_ns, now_ns});
  }
  std::uint32_t epoch() const { return epoch_; }

 private:
  void perform(const Action& action, std::uint64_t now_ns) {
    switch (action.kind) {
      case ActionKind::kAttach: {
        const bool failed = failures_ > 0 && failures_-- > 0;
        if (!failed) {
          EXPECT_TRUE(standing_.emplace(action.link, action.sites).second);
        }
        done_.push_back({action.link, !failed, failed, now_ns, now_ns});
        break;
      }
      case ActionKind::kKeep:
        EXPECT_TRUE(standing_.contains(action.link));
        break;
      case ActionKind::kDetach:
        standing_.erase(action.link);
        done_.push_back({action.link, false, false, now_ns, now_ns});
        break;
    }
  }

  Planner& planner_;
  std::map<LinkId, std::vector<SiteId>> standing_;
  std::vector<LinkDone> done_;
  std::vector<SiteSignal> signals_;
  std::uint64_t last_ns_ = 100 * kSecond;
  std::uint32_t epoch_ = 0;
  int failures_ = 0;
};

constexpr std::uint64_t kStart = 100 * kSecond;

TEST(Planner, ArmsEverySiteOnceAndKeepsWhatIsCool) {
  const auto classes = calls(1000);
  Planner planner({}, classes);
  Executor executor(planner);
  const Plan first = executor.tick(kStart);
  ASSERT_FALSE(first.actions.empty());
  std::set<SiteId> seen;
  for (const Action& action : first.actions) {
    EXPECT_EQ(action.kind, ActionKind::kAttach);
    EXPECT_LE(action.sites.size(), Settings().sites_per_link);
    EXPECT_NE(action.for_ns, kForEver) << "a trial ends by itself";
    for (const SiteId site : action.sites) {
      EXPECT_TRUE(seen.insert(site).second);
    }
  }
  EXPECT_TRUE(first.partial);
  ASSERT_EQ(first.limits.size(), 1u);
  EXPECT_EQ(first.limits[0].member, kProcess);
  EXPECT_LT(first.limits[0].hits, 100'000u);
  executor.idle_until(kStart + 5 * kSecond);
  for (SiteId site = 0; site < 1000; ++site) {
    EXPECT_TRUE(executor.armed(site)) << site;
  }
  const Status status = planner.status();
  EXPECT_EQ(status.mode, "auto");
  EXPECT_EQ(status.sites_always, 1000u);
  EXPECT_EQ(status.armed_share, 1);
  EXPECT_FALSE(executor.tick(kStart + 6 * kSecond).partial);
  for (const Link& link : planner.links()) {
    EXPECT_EQ(link.purpose, Purpose::kAlways);
    EXPECT_EQ(link.until_ns, kForEver);
  }
}

TEST(Planner, ATripDropsWhatIsHotAtOnceAndTheOthersComeBack) {
  const auto classes = calls(300);
  Planner planner({}, classes);
  Executor executor(planner);
  executor.idle_until(kStart + 5 * kSecond);
  ASSERT_TRUE(executor.armed(7));
  MemberSample over;
  over.tripped = true;
  over.hits = 20'000;
  const Plan plan = executor.tick(kStart + 5 * kSecond + 50 * kMs, {{7, 5000, 0}, {200, 3, 0}}, over);
  ASSERT_FALSE(plan.actions.empty());
  EXPECT_EQ(plan.actions[0].kind, ActionKind::kDetach);
  EXPECT_FALSE(executor.armed(7));
  EXPECT_TRUE(executor.armed(200)) << "another link, which is cool";
  EXPECT_TRUE(plan.limits.empty()) << "not forgiven while it is hot";
  EXPECT_LT(plan.next_ns, kStart + 5 * kSecond + 60 * kMs) << "looks again soon";
  EXPECT_EQ(planner.site(7).place, SiteState::Place::kVisited);
  EXPECT_EQ(planner.status().trips, 1u);
  const std::uint32_t epoch = executor.epoch();
  const Plan calm = executor.tick(plan.next_ns);
  ASSERT_EQ(calm.limits.size(), 1u);
  EXPECT_NE(calm.limits[0].epoch, epoch);
  executor.idle_until(kStart + 7 * kSecond);
  EXPECT_TRUE(executor.armed(8)) << "was on the hot site's link";
  EXPECT_EQ(planner.site(8).place, SiteState::Place::kAlways);
}

TEST(Planner, AStaleTripIsNoTrip) {
  const auto classes = calls(10);
  Planner planner({}, classes);
  Executor executor(planner);
  executor.idle_until(kStart + kSecond);
  MemberSample member{kProcess, 1'000'000, 0, 0, 10, 1, true, executor.epoch() - 1};
  Sample sample;
  sample.now_ns = kStart + kSecond + 100 * kMs;
  const std::vector<SiteHits> hits = {{1, 10, 0}};
  sample.hits = hits;
  sample.members = {&member, 1};
  const Plan plan = planner.tick(sample);
  EXPECT_TRUE(std::none_of(plan.actions.begin(), plan.actions.end(),
                           [](const Action& each) { return each.kind == ActionKind::kDetach; }));
  EXPECT_EQ(planner.status().trips, 0u);
}

TEST(Planner, WhatTheKernelRefusesIsGivenUpAfterSomeTries) {
  const auto classes = calls(200);
  Planner planner({}, classes);
  Executor executor(planner);
  executor.fail_attaches(2);
  executor.idle_until(kStart + 5 * kSecond);
  EXPECT_EQ(planner.status().sites_always, 200u) << "two failures are overcome";

  Planner refused({}, classes);
  Executor refusing(refused);
  refusing.fail_attaches(1000);
  refusing.idle_until(kStart + 5 * kSecond);
  EXPECT_EQ(refused.site(3).place, SiteState::Place::kRefused);
  EXPECT_TRUE(refusing.tick(kStart + 6 * kSecond).actions.empty());
  EXPECT_EQ(refused.site(3).armed_share, 0);
}

TEST(Planner, ALinkThatEndedByItselfComesBack) {
  const auto classes = calls(100);
  Planner planner({}, classes);
  Executor executor(planner);
  executor.idle_until(kStart + 2 * kSecond);
  ASSERT_FALSE(executor.standing().empty());
  executor.expire(executor.standing().begin()->first, kStart + 2 * kSecond);
  executor.idle_until(kStart + 4 * kSecond);
  for (SiteId site = 0; site < 100; ++site) {
    EXPECT_TRUE(executor.armed(site)) << site;
  }
}

TEST(Planner, FullNeverDisarmsAndNeverLimits) {
  const auto classes = calls(500);
  Settings settings;
  settings.sampling = Sampling::kFull;
  Planner planner(settings, classes);
  Executor executor(planner);
  const Plan first = executor.tick(kStart);
  std::size_t sites = 0;
  for (const Action& action : first.actions) {
    EXPECT_EQ(action.for_ns, kForEver);
    sites += action.sites.size();
  }
  EXPECT_EQ(sites, 500u) << "all at once";
  ASSERT_EQ(first.limits.size(), 1u);
  EXPECT_EQ(first.limits[0].hits, UINT64_MAX);
  EXPECT_GT(first.limits[0].dwell_share_ppm, 0u);
  for (int i = 1; i < 50; ++i) {
    EXPECT_TRUE(executor.tick(kStart + i * 100 * kMs, {{3, 100'000, 0}}).actions.empty());
  }
  EXPECT_EQ(planner.status().mode, "full");
  EXPECT_GT(planner.status().cost_ppm, 500'000) << "what it costs is told";
}

TEST(Planner, AShareIsKeptByWindowsOfAllSites) {
  Settings settings;
  settings.sampling = Sampling::kShare;
  settings.one_in = 4;
  settings.seed = 3;
  sim::Phase phase;
  phase.cpus = 1;
  phase.rates = {{3, 100'000, 0}};
  sim::Simulation simulation(settings, calls(400), {sim::in_turn({phase}, 1000 * kSecond)});
  simulation.run_until(300 * kSecond);
  EXPECT_NEAR(simulation.armed_share(3), 0.25, 0.03);
  EXPECT_EQ(simulation.armed_share(3), simulation.armed_share(399));
  EXPECT_EQ(simulation.planner().status().mode, "1/4");
  EXPECT_DOUBLE_EQ(simulation.planner().site(5).armed_share, 0.25);
}

TEST(Planner, WhatWasChargedGoesOnWhenSitesTakeThePlaceOfFunctions) {
  Settings settings;
  const auto functions = calls(1);
  Planner before(settings, functions);
  Executor executor(before);
  executor.idle_until(kStart + kSecond);
  executor.tick(kStart + kSecond + 10 * kMs, {{0, 100'000, 0}});  // 90 ms: ten seconds' budget of a CPU
  const auto classes = calls(1000);
  Planner after(settings, classes);
  after.inherit(before);
  Executor next(after);
  EXPECT_TRUE(next.tick(kStart + kSecond + 20 * kMs).actions.empty()) << "nothing is left to spend";
  next.idle_until(kStart + 20 * kSecond);
  EXPECT_EQ(after.status().sites_always, 1000u);
}

TEST(Planner, AProcessThatIsGoneGetsNoLimits) {
  const auto classes = calls(10);
  Planner planner({}, classes);
  std::vector<MemberSample> members = {{1, 1'000'000, 0, 0, 0, 1, false, 0}, {2, 1'000'000, 0, 0, 0, 1, false, 0}};
  Sample sample;
  sample.now_ns = kStart;
  sample.members = members;
  EXPECT_EQ(planner.tick(sample).limits.size(), 2u);
  members.pop_back();
  sample.members = members;
  sample.now_ns += 100 * kMs;
  for (const MemberLimits& limits : planner.tick(sample).limits) {
    EXPECT_EQ(limits.member, 1u);
  }
}

TEST(Planner, TheSameSeedPlansTheSame) {
  const sim::Phase phase = sim::phase_of(sim::measured_programs()[1], 1.8, 2, 1);
  Settings settings;
  settings.seed = 5;
  sim::Simulation one(settings, calls(4432), {sim::in_turn({phase}, 1000 * kSecond)});
  sim::Simulation same(settings, calls(4432), {sim::in_turn({phase}, 1000 * kSecond)});
  settings.seed = 6;
  sim::Simulation other(settings, calls(4432), {sim::in_turn({phase}, 1000 * kSecond)});
  for (sim::Simulation* each : {&one, &same, &other}) {
    each->run_until(20 * kSecond);
  }
  EXPECT_EQ(one.ticks(), same.ticks());
  EXPECT_EQ(one.cost_ns(0), same.cost_ns(0));
  EXPECT_NE(one.cost_ns(0), other.cost_ns(0));
}

TEST(Planner, ANearMissRestoresAttentionForAWhile) {
  const sim::Program& etcd = sim::measured_programs()[0];
  const sim::Phase phase = sim::phase_of(etcd, 1.8, 2, 1);
  sim::Simulation simulation({}, calls(etcd.sites), {sim::in_turn({phase}, 10'000 * kSecond)});
  const SiteId hot = phase.rates[10].site;
  simulation.run_until(60 * kSecond);
  simulation.reset_shares();
  simulation.run_until(260 * kSecond);
  const double before = simulation.armed_share(hot);
  simulation.reset_shares();
  for (int i = 0; i < 20; ++i) {
    simulation.signal(hot, SignalKind::kNearMiss);
    simulation.run_until(simulation.now_ns() + 10 * kSecond);
  }
  const double meanwhile = simulation.armed_share(hot);
  EXPECT_GT(meanwhile, 2 * before);
  simulation.run_until(simulation.now_ns() + 40 * kSecond);
  simulation.reset_shares();
  simulation.run_until(simulation.now_ns() + 200 * kSecond);
  EXPECT_LT(simulation.armed_share(hot), meanwhile / 1.5) << "and no longer";
}

TEST(Planner, SitesOfSharedMapsAreVisitedMoreThanThoseOfOneGoroutinesMaps) {
  sim::Phase phase;
  phase.cpus = 1;
  for (SiteId site = 0; site < 20; ++site) {
    phase.rates.push_back({site, 20'000, site < 10 ? 0.5 : 0});
  }
  sim::Simulation simulation({}, calls(20), {sim::in_turn({phase}, 10'000 * kSecond)});
  simulation.run_until(20 * kSecond);
  simulation.reset_shares();
  simulation.run_until(220 * kSecond);
  double shared = 0;
  double own = 0;
  for (SiteId site = 0; site < 10; ++site) {
    shared += simulation.armed_share(site);
    own += simulation.armed_share(site + 10);
  }
  EXPECT_GT(own, 0);
  EXPECT_GT(shared, 2 * own);
}

TEST(Planner, RarerTheHotter) {
  const sim::Program& etcd = sim::measured_programs()[0];
  const sim::Phase phase = sim::phase_of(etcd, 1.8, 2, 1);
  sim::Simulation simulation({}, calls(etcd.sites), {sim::in_turn({phase}, 10'000 * kSecond)});
  simulation.run_until(40 * kSecond);
  simulation.reset_shares();
  simulation.run_until(240 * kSecond);
  const double hottest = simulation.armed_share(phase.rates[0].site);
  const double hot = simulation.armed_share(phase.rates[40].site);
  const double warm = simulation.armed_share(phase.rates[100].site);
  EXPECT_GT(hottest, 0);
  EXPECT_GT(hot, 1.5 * hottest);
  EXPECT_GT(warm, 1.5 * hot);
}

TEST(Planner, HostileFigures) {
  const auto classes = calls(10);
  Planner planner({}, classes);
  const std::vector<SiteHits> hits = {{9, UINT64_MAX / 2, UINT64_MAX}, {10, 5, 0}, {UINT32_MAX, UINT64_MAX, 0}};
  const std::vector<SiteSignal> signals = {{77, SignalKind::kOverlap}};
  const std::vector<MemberSample> members = {{1, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, true, 9},
                                             {1, 0, 0, 0, 0, 0, false, 0}};
  const std::vector<LinkDone> done = {{12345, true, false, UINT64_MAX, 0}, {0, false, true, 0, UINT64_MAX}};
  Sample sample;
  sample.hits = hits;
  sample.signals = signals;
  sample.members = members;
  sample.done = done;
  for (const std::uint64_t now : {std::uint64_t{5}, std::uint64_t{1} << 62, std::uint64_t{0}}) {
    sample.now_ns = now;
    planner.tick(sample);
  }
  EXPECT_FALSE(planner.status().mode.empty());
  Planner none({}, {});
  EXPECT_TRUE(none.tick({}).actions.empty());
  EXPECT_EQ(none.status().armed_share, 0);
  EXPECT_EQ(none.site(0).armed_share, 0);
}

}  // namespace
}  // namespace mapwatch::govern
