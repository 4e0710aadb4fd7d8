#include "govern/cost.h"

#include <gtest/gtest.h>

#include "govern/hit_deltas.h"

namespace mapwatch::govern {
namespace {

TEST(Cost, HitsByClassAndSwitching) {
  CostModel model;
  model.ns_per_hit = {0, 700, 800, 900, 20'000};
  EXPECT_DOUBLE_EQ(model.hit_ns(MW_SITE_PUSH, 10), 7000);
  EXPECT_DOUBLE_EQ(model.hit_ns(MW_SITE_CALL, 10), 9000);
  EXPECT_DOUBLE_EQ(CostModel::switch_ns({50'000, 3'000}, 128), 434'000);
}

TEST(Cost, ShareOfCpuTime) {
  EXPECT_DOUBLE_EQ(cost_share(1e6, 100'000'000), 0.01);
  EXPECT_EQ(cost_share(1e6, 0), 0);
}

TEST(HitDeltas, WhatWasAddedSince) {
  HitDeltas deltas;
  const std::vector<mw_site_counts> first = {{5, 1}, {0, 0}, {7, 0}};
  ASSERT_EQ(deltas.take(first).size(), 2u);
  const std::vector<mw_site_counts> second = {{5, 1}, {2, 2}, {9, 1}, {4, 0}};
  const auto changed = deltas.take(second);
  ASSERT_EQ(changed.size(), 3u);
  EXPECT_EQ(changed[0].site, 1u);
  EXPECT_EQ(changed[0].hits, 2u);
  EXPECT_EQ(changed[0].candidates, 2u);
  EXPECT_EQ(changed[1].hits, 2u);
  EXPECT_EQ(changed[2].site, 3u);
}

TEST(HitDeltas, ATotalThatWentBackIsNoHits) {
  HitDeltas deltas;
  deltas.take(std::vector<mw_site_counts>{{50, 10}});
  EXPECT_TRUE(deltas.take(std::vector<mw_site_counts>{{3, 0}}).empty());
  ASSERT_EQ(deltas.take(std::vector<mw_site_counts>{{5, 0}}).size(), 1u);
}

}  // namespace
}  // namespace mapwatch::govern
