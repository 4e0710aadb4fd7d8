// What is promised of cost, over every second and every ten seconds of a modelled target: whatever it does.
#include <gtest/gtest.h>

#include <cmath>

#include "govern/programs.h"
#include "govern/random.h"

namespace mapwatch::govern::sim {
namespace {

double mean_share(const Simulation& simulation, const std::vector<SiteId>& sites) {
  double sum = 0;
  for (const SiteId id : sites) {
    sum += simulation.armed_share(id);
  }
  return sum / static_cast<double>(sites.size());
}

Simulation simulate(std::uint32_t sites, std::vector<Load> loads, std::uint64_t seed = 7, Host host = {}) {
  Settings settings;
  settings.seed = seed;
  return Simulation(settings, std::vector<mw_site_class>(sites, MW_SITE_CALL), std::move(loads), host);
}

/// For each CPU: a millisecond of hits until the limit trips, two to react, and the switching of the links that go.
constexpr double kSurpriseNs = 8e6;

/// `apart_ns`: what a surprise may cost on top.
void expect_within_budget(const Simulation& simulation, std::size_t process = 0, double apart_ns = 0) {
  const Worst worst = simulation.worst(process, apart_ns);
  EXPECT_LE(worst.second, 1) << "the second from " << static_cast<double>(worst.second_ns) / 1e9;
  EXPECT_LE(worst.ten_seconds, 1) << "the ten seconds from " << static_cast<double>(worst.ten_seconds_ns) / 1e9;
}

class Measured : public testing::TestWithParam<Program> {};

TEST_P(Measured, KeepsTheBudgetAndTheColdSites) {
  const Program& program = GetParam();
  const Phase phase = phase_of(program, 1.8, 2, 1);
  Simulation simulation = simulate(program.sites, {in_turn({phase}, 1000 * kSecond)});
  simulation.run_until(20 * kSecond);
  simulation.reset_shares();
  simulation.run_until(80 * kSecond);
  expect_within_budget(simulation);
  EXPECT_GE(mean_share(simulation, cold_sites({phase}, program.sites)), 0.94);
  const Status status = simulation.planner().status();
  EXPECT_GE(status.armed_share, 0.9);
  EXPECT_EQ(status.sites_waiting, 0u);
  EXPECT_EQ(status.mode.substr(0, 7), "auto 1/");
  // Hot sites are visited, each of them.
  for (const Rate& rate : phase.rates) {
    EXPECT_GT(simulation.armed_share(rate.site), 0) << rate.site << " at " << rate.per_s;
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, Measured, testing::ValuesIn(measured_programs()),
                         [](const auto& program) { return program.param.name; });

TEST(Bounds, HeatThatIsKnownBeforehandIsNeverPaidFor) {
  const Program& etcd = measured_programs()[0];
  const Phase phase = phase_of(etcd, 1.8, 2, 1);
  Simulation simulation = simulate(etcd.sites, {in_turn({phase}, 1000 * kSecond)});
  std::vector<SiteHits> hits;
  for (const Rate& rate : phase.rates) {
    hits.push_back({rate.site, static_cast<std::uint64_t>(rate.per_s / 20), 0});
  }
  simulation.planner().expect(hits, static_cast<std::uint64_t>(1.8 / 20 * 1e9));  // of 50 ms
  simulation.run_until(10 * kSecond);
  expect_within_budget(simulation);
  // One attach and hardly a detach for each link: within ten seconds the cold sites stand.
  EXPECT_GE(mean_share(simulation, cold_sites({phase}, etcd.sites)), 0.7);
  simulation.reset_shares();
  simulation.run_until(20 * kSecond);
  EXPECT_GE(mean_share(simulation, cold_sites({phase}, etcd.sites)), 0.99);
}

TEST(Bounds, PhasesOf120MsThatHaveDifferentHotSites) {
  const Program& etcd = measured_programs()[0];
  const std::vector<Phase> phases = {phase_of(etcd, 1, 1, 1), phase_of(etcd, 1, 1, 2)};
  Simulation simulation = simulate(etcd.sites, {in_turn(phases, 120 * kMs)});
  simulation.run_until(90 * kSecond);
  expect_within_budget(simulation);
  simulation.reset_shares();
  simulation.run_until(150 * kSecond);
  expect_within_budget(simulation);
  EXPECT_GE(mean_share(simulation, cold_sites(phases, etcd.sites)), 0.94);
}

TEST(Bounds, BurstsOf120Ms) {
  const Program& etcd = measured_programs()[0];
  Phase idle;
  idle.cpus = 0.001;
  const Phase busy = phase_of(etcd, 1, 1, 1);
  Simulation simulation = simulate(etcd.sites, {in_turn({busy, idle}, 120 * kMs)});
  simulation.run_until(60 * kSecond);
  expect_within_budget(simulation);
  simulation.reset_shares();
  simulation.run_until(120 * kSecond);
  EXPECT_GE(mean_share(simulation, cold_sites({busy}, etcd.sites)), 0.94);
}

TEST(Bounds, OneSiteAt50MillionHitsASecond) {
  Phase phase;
  phase.cpus = 1;
  phase.rates = {{3, 50e6, 0}};
  Simulation simulation = simulate(100, {in_turn({phase}, 1000 * kSecond)});
  simulation.run_until(60 * kSecond);
  expect_within_budget(simulation);
  EXPECT_GT(simulation.armed_share(3), 0.0001);
  for (SiteId id = 0; id < 100; ++id) {
    if (id != 3) {
      EXPECT_GE(simulation.armed_share(id), 0.99) << id;
    }
  }
}

TEST(Bounds, FifteenFunctionProbesOfABusyProcess) {
  Phase phase;
  phase.cpus = 1.5;
  phase.most_cpus = 2;
  phase.dwells = 1;
  for (SiteId id = 0; id < 15; ++id) {
    phase.rates.push_back({id, 600'000.0 / static_cast<double>(1u << id), 0.1});
  }
  Simulation simulation = simulate(15, {in_turn({phase}, 1000 * kSecond)});
  simulation.run_until(60 * kSecond);
  expect_within_budget(simulation);
  for (SiteId id = 0; id < 15; ++id) {
    EXPECT_GT(simulation.armed_share(id), 0) << id;
  }
  EXPECT_GE(simulation.armed_share(14), 0.99);
}

TEST(Bounds, AnIdleProcessHasAllSitesArmed) {
  Phase phase;
  phase.cpus = 0.01;
  phase.most_cpus = 2;
  for (SiteId id = 0; id < 5000; id += 10) {
    phase.rates.push_back({id, 1, 0});
  }
  Simulation simulation = simulate(5000, {in_turn({phase}, 1000 * kSecond)});
  simulation.run_until(30 * kSecond);
  simulation.reset_shares();
  simulation.run_until(60 * kSecond);
  expect_within_budget(simulation);
  EXPECT_EQ(simulation.planner().status().mode, "auto");
  EXPECT_EQ(simulation.planner().status().sites_always, 5000u);
  EXPECT_LT(simulation.ticks(), 400u);
}

// Every 120 ms another site turns hot that was cold before: nothing that was learnt is of use.
TEST(Bounds, AnAdversaryTurnsOnlyTheWatchingOff) {
  std::vector<Phase> phases;
  for (SiteId i = 0; i < 400; ++i) {
    Phase phase;
    phase.cpus = 1;
    phase.rates = {{i * 12 + 5, 5e6, 0}};
    phases.push_back(phase);
  }
  Simulation simulation = simulate(5000, {in_turn(phases, 120 * kMs)});
  simulation.run_until(100 * kSecond);
  expect_within_budget(simulation);
  EXPECT_GT(simulation.planner().status().trips, 20u);
}

TEST(Bounds, TwoHundredProcessesOfOneFileOneOfThemHot) {
  Phase quiet;
  quiet.cpus = 0.02;
  quiet.rates = {{1, 5, 0}, {2, 5, 0}};
  Phase busy = phase_of(measured_programs()[1], 1, 1, 3);
  std::vector<Load> loads(200, in_turn({quiet}, 1000 * kSecond));
  loads[77] = in_turn({busy}, 1000 * kSecond);
  Simulation simulation = simulate(measured_programs()[1].sites, loads);
  simulation.run_until(40 * kSecond);
  for (std::size_t process = 0; process < 200; ++process) {
    expect_within_budget(simulation, process);
  }
  simulation.reset_shares();
  simulation.run_until(60 * kSecond);
  EXPECT_GE(mean_share(simulation, cold_sites({busy}, measured_programs()[1].sites)), 0.94);
}

TEST(Bounds, ProcessesComeAndGo) {
  const Program& nats = measured_programs()[1];
  std::vector<Load> loads;
  for (std::uint64_t i = 0; i < 12; ++i) {
    Load load = in_turn({phase_of(nats, 0.8, 1, i % 3 + 1)}, 1000 * kSecond);
    load.begins_ns = i * 4 * kSecond;
    load.ends_ns = load.begins_ns + (i % 2 == 0 ? 3 : 15) * kSecond;
    load.before_ns = 0;
    loads.push_back(load);
  }
  Simulation simulation = simulate(nats.sites, loads);
  simulation.run_until(70 * kSecond);
  for (std::size_t process = 0; process < loads.size(); ++process) {
    expect_within_budget(simulation, process, kSurpriseNs);
  }
}

// After five idle seconds the program does for a second what was never seen of it: detaching alone costs more than an
// idle process may be charged in ten seconds (docs/governor.md, "Limits").
TEST(Bounds, SecondsOfWorkBetweenIdleTimes) {
  const Program& etcd = measured_programs()[0];
  Phase idle;
  idle.cpus = 0.001;
  const Phase busy = phase_of(etcd, 1, 1, 1);
  Simulation simulation = simulate(etcd.sites, {in_turn({busy, idle, idle, idle, idle, idle}, kSecond)});
  simulation.run_until(180 * kSecond);
  expect_within_budget(simulation, 0, kSurpriseNs);
}

TEST(Bounds, RandomLoads) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    govern::Random random(seed);
    const auto between = [&random](double low, double high) { return low * std::pow(high / low, random.unit()); };
    const auto sites = static_cast<std::uint32_t>(between(10, 6000));
    const double most_cpus = std::ceil(between(1, 16));
    std::vector<Phase> phases(1 + random.next() % 5);
    for (Phase& phase : phases) {
      phase.most_cpus = most_cpus;
      phase.cpus = most_cpus * (random.unit() < 0.25 ? between(0.001, 0.1) : between(0.1, 1));
      phase.dwells = random.unit();
      std::vector<bool> used(sites);
      for (double hot = between(1, 300); hot >= 1; --hot) {
        const auto site = static_cast<SiteId>(random.next() % sites);
        if (!used[site]) {
          phase.rates.push_back({site, phase.cpus * between(1, 1e6), random.unit() < 0.3 ? random.unit() : 0});
          used[site] = true;
        }
      }
    }
    const auto length = static_cast<std::uint64_t>(between(5, 5000) * kMs);
    Simulation simulation = simulate(sites, {in_turn(phases, length)}, seed);
    simulation.run_until(30 * kSecond);
    SCOPED_TRACE(seed);
    expect_within_budget(simulation, 0, most_cpus * kSurpriseNs);
  }
}

TEST(Bounds, ClockJumps) {
  const Program& nats = measured_programs()[1];
  Simulation simulation = simulate(nats.sites, {in_turn({phase_of(nats, 1.8, 2, 1)}, 1000 * kSecond)});
  std::uint64_t time = 0;
  constexpr std::int64_t kJumpsMs[] = {3'600'000, -2'000, 100, -3'600'000, 50'000};
  for (const std::int64_t jump : kJumpsMs) {
    simulation.run_until(time += 8 * kSecond);
    simulation.jump(jump * static_cast<std::int64_t>(kMs));
  }
  // Back by an hour: nothing is decided by time until it is there again, but what trips is still dropped.
  simulation.run_until(time + 20 * kSecond);
  EXPECT_LE(simulation.worst(0).second, 1);
}

}  // namespace
}  // namespace mapwatch::govern::sim
