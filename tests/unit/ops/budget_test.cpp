#include <gtest/gtest.h>

#include <map>

#include "ops/budget.h"
#include "ops/canary.h"

namespace mapwatch::ops {
namespace {

class Budget : public testing::Test {
 protected:
  Budget() {
    objective_.source = Source::kHazards;
    objective_.target = 0.99;
    slo_.window_s = 30 * 86'400;
  }
  ObjectiveState state(const std::map<std::uint64_t, double>& values) const {
    std::vector<Reading> readings;
    for (const std::uint64_t span_s : spans(slo_)) {
      const auto found = values.find(span_s);
      readings.push_back({span_s, found == values.end() ? std::nullopt : std::optional(found->second)});
    }
    return judge(objective_, slo_, readings);
  }
  /// The same value over every span.
  ObjectiveState steady(double value) const {
    std::map<std::uint64_t, double> values;
    for (const std::uint64_t span_s : spans(slo_)) {
      values[span_s] = value;
    }
    return state(values);
  }

  Objective objective_;
  Slo slo_;
};

TEST_F(Budget, WhatIsLeftIsToldAndHowLongItLasts) {
  const ObjectiveState half = steady(0.005);
  EXPECT_EQ(half.verdict, Verdict::kOpen) << half.why;
  EXPECT_NEAR(*half.remaining, 0.5, 1e-9);
  EXPECT_NEAR(*half.exhausted_in_s, 30 * 86'400, 1);  // half of it, at half the rate
  EXPECT_EQ(steady(0).verdict, Verdict::kOpen);
  EXPECT_FALSE(steady(0).exhausted_in_s);
}

TEST_F(Budget, ABudgetThatIsUsedUpFreezesAndOneThatIsLowWarns) {
  EXPECT_EQ(steady(0.01).verdict, Verdict::kFrozen);
  EXPECT_EQ(steady(0.02).verdict, Verdict::kFrozen);
  EXPECT_LT(*steady(0.02).remaining, 0);
  EXPECT_EQ(steady(0.0076).verdict, Verdict::kWarning);
}

TEST_F(Budget, AFastBurnFreezesWhenBothItsWindowsBurn) {
  const std::map<std::uint64_t, double> calm = {{2'592'000, 0.001}};
  auto values = calm;
  values[3'600] = 0.15;
  EXPECT_EQ(state(values).verdict, Verdict::kOpen) << "it is over: " << state(values).why;
  values[300] = 0.15;
  EXPECT_EQ(state(values).verdict, Verdict::kFrozen);
  EXPECT_NE(state(values).why.find("15x over 1 h"), std::string::npos) << state(values).why;
  values[300] = 0.1;
  EXPECT_EQ(state(values).verdict, Verdict::kOpen) << "below 14.4 times";
}

TEST_F(Budget, ASlowBurnWarns) {
  EXPECT_EQ(state({{2'592'000, 0.001}, {86'400, 0.031}, {7'200, 0.04}}).verdict, Verdict::kWarning);
  EXPECT_EQ(state({{2'592'000, 0.001}, {86'400, 0.031}, {7'200, 0.0}}).verdict, Verdict::kOpen);
}

TEST_F(Budget, NothingKnownOfTheWindowIsNoData) {
  EXPECT_EQ(state({}).verdict, Verdict::kNoData);
  EXPECT_FALSE(state({}).remaining);
  EXPECT_EQ(state({{3'600, 0.0}, {300, 0.0}}).verdict, Verdict::kNoData);
  EXPECT_EQ(worst({steady(0.005), state({})}), Verdict::kNoData) << "what is not known is not let through";
  EXPECT_EQ(worst({steady(0.0), steady(0.0076)}), Verdict::kWarning);
  EXPECT_EQ(worst({}), Verdict::kOpen);
}

TEST_F(Budget, RulesLongerThanTheWindowAreLeftOut) {
  slo_.window_s = 86'400;
  EXPECT_EQ(steady(0.005).burns.size(), 3u);
  EXPECT_EQ(spans(slo_).back(), 86'400u);
}

TEST(Canary, CrashesThatChanceDoesNotExplainRollItBack) {
  EXPECT_TRUE(compare({3'600, 0, 5, 0}, {36'000, 0, 0, 0}).roll_back);
  EXPECT_FALSE(compare({3'600, 0, 1, 0}, {3'600, 0, 1, 0}).roll_back);
  // One crash where the baseline had ten times the time for none: a chance of one in eleven.
  EXPECT_NEAR(compare({3'600, 0, 1, 0}, {36'000, 0, 0, 0}).crash_p, 1.0 / 11, 1e-9);
  EXPECT_TRUE(compare({3'600, 0, 1, 0}, {36'000'000, 0, 0, 0}).roll_back);
  EXPECT_FALSE(compare({3'600, 0, 0, 0}, {3'600, 0, 9, 0}).roll_back) << "it is better";
}

TEST(Canary, NewHazardsAndMoreOfThemRollItBack) {
  EXPECT_TRUE(compare({3'600, 1, 0, 0}, {3'600, 0, 0, 0}).roll_back);
  EXPECT_FALSE(compare({3'600, 1, 0, 0}, {600, 0, 0, 0}).roll_back) << "the baseline had no time to show any";
  EXPECT_TRUE(compare({3'600, 30, 0, 0}, {3'600, 10, 0, 0}).roll_back);
  EXPECT_FALSE(compare({3'600, 15, 0, 0}, {3'600, 10, 0, 0}).roll_back);
}

TEST(Canary, TooLittleTimeIsNoData) {
  EXPECT_TRUE(compare({10, 0, 3, 0}, {3'600, 0, 0, 0}).no_data);
  EXPECT_TRUE(compare({3'600, 0, 3, 0}, {0, 0, 0, 0}).no_data);
}

}  // namespace
}  // namespace mapwatch::ops
