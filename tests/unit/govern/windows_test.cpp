#include "govern/windows.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mapwatch::govern {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

std::array<TierSum, kTiers> tiers(std::initializer_list<std::pair<std::size_t, TierSum>> sums) {
  std::array<TierSum, kTiers> out = {};
  for (const auto& [tier, sum] : sums) {
    out[tier] = sum;
  }
  return out;
}

TEST(Windows, TheHotterTheRarerAndWithinTheBudget) {
  Random random(1);
  const CostModel costs;
  Windows windows(costs, random);
  windows.plan(tiers({{2, {30, 0.002}}, {5, {20, 0.05}}, {8, {5, 0.8}}}), {2.5e6, 1, 1}, 0);
  double spent = 0;
  for (std::size_t i = 0; i < kTiers; ++i) {
    spent += windows.depth(i).per_s * windows.depth(i).cost_ns;
  }
  EXPECT_LE(spent, 2.5e6 * 1.001);
  EXPECT_GE(spent, 0.5 * 2.5e6);
  EXPECT_GT(windows.reach(2).share, windows.reach(5).share);
  EXPECT_GT(windows.reach(5).share, windows.reach(8).share);
  EXPECT_GT(windows.reach(8).share, 0);
  EXPECT_EQ(windows.depth(8).sites, 55u) << "cooler sites are visited along";
}

TEST(Windows, TimesAreThoseOfTheRate) {
  Random random(2);
  Windows windows(CostModel{}, random);
  windows.plan(tiers({{4, {10, 0.01}}}), {2.5e6, 1, 1}, 0);
  const double per_s = windows.depth(4).per_s;
  int visits = 0;
  std::uint64_t now = 0;
  while (now < 2000 * kSecond) {
    now = windows.next_ns();
    visits += windows.take_due(now) ? 1 : 0;
  }
  EXPECT_NEAR(visits / 2000.0 / per_s, 1, 0.1);
}

TEST(Windows, WhatVisitsReallyCostMakesThemRarer) {
  Random random(3);
  Windows windows(CostModel{}, random);
  const auto sums = tiers({{4, {10, 0.01}}});
  windows.plan(sums, {2.5e6, 1, 1}, 0);
  const double before = windows.depth(4).per_s;
  for (int i = 0; i < 50; ++i) {
    windows.paid(1e6, 4e6);
  }
  windows.plan(sums, {2.5e6, 1, 1}, 0);
  EXPECT_NEAR(windows.depth(4).per_s, before / 4, before / 20);
}

TEST(Windows, OfTooManySitesAPartIsVisited) {
  Random random(4);
  Windows windows(CostModel{}, random);
  windows.plan(tiers({{3, {4 * Windows::kMostSites, 0.01}}}), {2.5e6, 1, 1}, 0);
  const Windows::Depth& depth = windows.depth(3);
  EXPECT_EQ(depth.sites, Windows::kMostSites);
  EXPECT_NEAR(windows.reach(3).per_s, depth.per_s / 4, depth.per_s / 100);
}

// Long visits and short ones: what is seen seldom is seen as often as by as many of their average, what is seen often
// once in each.
TEST(Windows, VisitsOfSeveralLengthsAsOfOne) {
  Random random(6);
  Windows windows(CostModel{}, random);
  windows.plan(tiers({{2, {30, 0.002}}, {8, {5, 0.8}}}), {2.5e6, 1, 1}, 0);
  const Windows::Reach reach = windows.reach(2);
  EXPECT_NEAR(windows.alike_ns(2, 1e-3) / reach.length_ns, 1, 0.01);
  for (const double per_s : {0.1, 10.0, 1000.0, 1e5}) {
    double seen = 0;
    for (const std::size_t i : {2, 8}) {
      seen += windows.depth(i).per_s * -std::expm1(-per_s * windows.depth(i).length_ns / 1e9);
    }
    const double alike_ns = windows.alike_ns(2, per_s);
    EXPECT_NEAR(reach.per_s * -std::expm1(-per_s * alike_ns / 1e9) / seen, 1, 0.01) << per_s;
    EXPECT_LE(alike_ns, reach.length_ns * 1.001) << per_s;
  }
  EXPECT_GT(windows.alike_ns(2, 1e9), 0) << "seen in each visit, as sure as can be told";
}

TEST(Windows, NothingToVisit) {
  Random random(5);
  Windows windows(CostModel{}, random);
  windows.plan({}, {2.5e6, 1, 1}, 0);
  EXPECT_EQ(windows.next_ns(), UINT64_MAX);
  EXPECT_FALSE(windows.take_due(UINT64_MAX - 1));
  EXPECT_EQ(windows.reach(0).share, 0);
  EXPECT_EQ(windows.reach(0).per_s, 0);
}

}  // namespace
}  // namespace mapwatch::govern
