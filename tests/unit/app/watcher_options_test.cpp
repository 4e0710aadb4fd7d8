#include "app/watcher_options.h"

#include <gtest/gtest.h>

namespace mapwatch::app {
namespace {

TEST(CostModel, EachClassByWhatWasMeasuredOfIt) {
  attach::SelfTest tested;
  tested.ns_per_hit = {100, 400, 500, 600, 14'000};
  const govern::CostModel costs = cost_model(tested);
  // The detector comes on top of an empty program, and a hit in a program is dearer than one in a loop: for all alike.
  const double one = costs.hit_ns(MW_SITE_CALL, 1) - costs.hit_ns(MW_SITE_JCC, 1);
  EXPECT_GE(one, 100);
  EXPECT_DOUBLE_EQ(costs.hit_ns(MW_SITE_JCC, 1) - costs.hit_ns(MW_SITE_PUSH, 1), one);
  EXPECT_DOUBLE_EQ(costs.hit_ns(MW_SITE_ENTRY, 1) - costs.hit_ns(MW_SITE_CALL, 1), one * 134);
  EXPECT_GT(costs.hit_ns(MW_SITE_PUSH, 1), 400);
}

TEST(CostModel, WhatWasNotMeasuredKeepsTheFigureOfOtherHosts) {
  attach::SelfTest tested;
  tested.ns_per_hit = {100, 400, 0, 600, 0};
  const govern::CostModel costs = cost_model(tested);
  const govern::CostModel others;
  EXPECT_DOUBLE_EQ(costs.hit_ns(MW_SITE_JCC, 1), others.hit_ns(MW_SITE_JCC, 1));
  EXPECT_DOUBLE_EQ(costs.hit_ns(MW_SITE_ENTRY, 1), others.hit_ns(MW_SITE_ENTRY, 1));
  EXPECT_NE(costs.hit_ns(MW_SITE_CALL, 1), others.hit_ns(MW_SITE_CALL, 1));
}

}  // namespace
}  // namespace mapwatch::app
