#include "govern/members.h"

#include <gtest/gtest.h>

namespace mapwatch::govern {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1000 * kMs;
constexpr std::uint64_t kStart = 1000 * kSecond;

Members::Options options() { return {10'000, 1'000, 2'000'000, true}; }

MemberSample sample(MemberId id, double cpus, std::uint64_t hits, std::uint64_t span_ns = 100 * kMs) {
  MemberSample out;
  out.member = id;
  out.cpu_ns = static_cast<std::uint64_t>(cpus * static_cast<double>(span_ns));
  out.hits = hits;
  out.cpus = 8;
  return out;
}

void run(Members& members, const std::vector<MemberSample>& samples, GroupCost cost, int steps, std::uint64_t& now) {
  for (int i = 0; i < steps; ++i, now += 100 * kMs) {
    members.book(samples, cost, now, now + 100 * kMs);
  }
}

TEST(Members, WhatABusyProcessMayBeCharged) {
  Members members(options());
  std::uint64_t now = kStart;
  run(members, {sample(1, 2, 100)}, {90'000, 900, 0}, 150, now);
  const Allowance& allowance = members.allowance();
  EXPECT_NEAR(allowance.rate_ns_per_s, 0.01 * 2e9, 1e6);
  EXPECT_NEAR(allowance.always_share, 0.01 * kShares.always, 1e-4);
  EXPECT_NEAR(allowance.left_ten_ns, 0.01 * 20e9 - 100 * 90'000, 3e6);
  EXPECT_NEAR(members.cost_ppm(), 450, 20);
  EXPECT_NEAR(allowance.surprise_ns, 3 * 2e6, 1e6) << "of half as many threads again as were busy";
}

TEST(Members, EachHasItsOwnBudget) {
  Members members(options());
  std::uint64_t now = kStart;
  MemberSample frugal = sample(1, 1, 100);
  frugal.budget_ppm = 2'000;
  run(members, {frugal, sample(2, 1, 100)}, {180'000, 900, 0}, 150, now);
  EXPECT_NEAR(members.allowance().rate_ns_per_s, 0.002 * 1e9 / 0.5, 1e5) << "the tightest decides";
  EXPECT_NEAR(members.cost_ppm(1), 900, 30);
  EXPECT_EQ(members.cost_ppm(3), 0);
  run(members, {sample(2, 1, 200)}, {180'000, 900, 0}, 150, now);
  EXPECT_NEAR(members.allowance().rate_ns_per_s, 0.01 * 1e9, 1e6);
}

TEST(Members, AnIdleProcessHasTheFloor) {
  Members members(options());
  std::uint64_t now = kStart;
  run(members, {sample(1, 0.001, 0)}, {}, 150, now);
  EXPECT_NEAR(members.allowance().rate_ns_per_s, 1e6, 1e4);
  EXPECT_NEAR(members.allowance().left_ten_ns, 10e6, 1e4);
  EXPECT_NEAR(members.allowance().left_ns, 5e6, 1e4);
}

TEST(Members, TheOneThatPaysMostDecides) {
  Members members(options());
  std::uint64_t now = kStart;
  // One has nine tenths of the hits and half of the CPU time.
  run(members, {sample(1, 1, 900), sample(2, 1, 100)}, {900'000, 900, 0}, 150, now);
  const Allowance& allowance = members.allowance();
  EXPECT_NEAR(allowance.rate_ns_per_s, 0.01 * 1e9 / 0.9, 1e6);
  EXPECT_NEAR(allowance.strain, 900 * 900 * 10 / (0.01 * 1e9), 0.05);
  EXPECT_NEAR(members.cost_ppm(), 8100, 300);
  EXPECT_EQ(members.nearest(), 1u);
  run(members, {sample(2, 1, 200)}, {180'000, 900, 0}, 150, now);
  EXPECT_EQ(members.nearest(), 2u) << "the other one is gone";
}

TEST(Members, TrapsBeyondALimitArePaidFor) {
  Members members(options());
  std::uint64_t now = kStart;
  run(members, {sample(1, 1, 5000)}, {900'000, 900, 0}, 5, now);
  EXPECT_NEAR(members.allowance().hits_ns, 5000 * 900, 1) << "though the sites counted 1000";
}

TEST(Members, SwitchingIsPaidByEachForTheCpusThatItKeepsBusy) {
  Members members(options());
  std::uint64_t now = kStart;
  run(members, {sample(1, 4, 10), sample(2, 0, 0)}, {0, 900, 0}, 20, now);
  members.book(std::vector{sample(1, 4, 0), sample(2, 0, 0)}, {0, 900, 1e6}, now, now + 100 * kMs);
  EXPECT_NEAR(members.allowance().strain, 4e6 / (0.01 * 8e9), 0.05);
}

TEST(Members, WhatWasUsedBeforeCounts) {
  Members members(options());
  MemberSample first = sample(1, 1, 0);
  first.cpu_over_ns = 10 * kSecond;
  first.cpu_ns = 10 * kSecond;
  members.book(std::vector{first}, {}, kStart, kStart);
  EXPECT_NEAR(members.allowance().left_ten_ns, 100e6, 2e6);
}

TEST(Members, LimitsComeWithANewEpochAndNotWhileTripped) {
  Members members(options());
  std::uint64_t now = kStart;
  run(members, {sample(1, 1, 100)}, {90'000, 900, 0}, 20, now);
  const auto first = members.limits(5e6, 900, 0);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].hits, static_cast<std::uint64_t>(5e6 / 900));
  EXPECT_TRUE(members.limits(5e6, 900, 0).empty()) << "it was charged nothing since";
  MemberSample over = sample(1, 1, 9000);
  over.tripped = true;
  over.epoch = first[0].epoch;
  members.book(std::vector{over}, {90'000, 900, 0}, now, now + 10 * kMs);
  EXPECT_TRUE(members.tripped());
  EXPECT_TRUE(members.limits(5e6, 900, 0).empty());
  members.forgive();
  const auto again = members.limits(5e6, 900, 0);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_NE(again[0].epoch, first[0].epoch);
  EXPECT_EQ(members.trips(), 1u);
}

TEST(Members, DwellsGetWhatTheOthersLeave) {
  Members quiet(options());
  Members charged(options());
  std::uint64_t now = kStart;
  run(quiet, {sample(1, 1, 10)}, {9'000, 900, 0}, 150, now);
  now = kStart;
  run(charged, {sample(1, 1, 1000)}, {900'000, 900, 0}, 150, now);
  EXPECT_NEAR(quiet.limits(1e6, 900, 0)[0].dwell_share_ppm, 10'000 * kShares.planned, 300);
  const std::uint32_t least = charged.limits(1e6, 900, 0)[0].dwell_share_ppm;
  EXPECT_GE(least, 10'000 * kShares.dwell * 0.2) << "something, where others cost all that may be charged";
  EXPECT_LE(least, 10'000 * kShares.dwell * 0.4);
}

TEST(Members, HitsDoNotLeaveDwellsWithout) {
  Members members(options());
  std::uint64_t now = kStart;
  run(members, {sample(1, 1, 700)}, {650'000, 900, 0}, 150, now);  // 65 % of what may be charged
  EXPECT_NEAR(members.limits(1e6, 900, 0)[0].dwell_share_ppm, 10'000 * kShares.dwell, 100);
}

TEST(Members, WhatIsHeldAtOnceFitsIntoWhatIsLeft) {
  Members idle(options());
  std::uint64_t now = kStart;
  run(idle, {sample(1, 0.001, 1)}, {900, 900, 0}, 1, now);
  EXPECT_NEAR(static_cast<double>(idle.limits(1e6, 900, 0)[0].dwell_burst_ns), 3.5e6, 0.1e6)
      << "of the five milliseconds of a second";
  Members busy(options());
  now = kStart;
  run(busy, {sample(1, 1, 1)}, {900, 900, 0}, 30, now);
  EXPECT_NEAR(static_cast<double>(busy.limits(1e6, 900, 0)[0].dwell_burst_ns), 2.5e6, 0.1e6) << "what it works may end";
  Members charged(options());
  now = kStart;
  run(charged, {sample(1, 0.001, 1000)}, {900'000, 900, 0}, 5, now);
  EXPECT_NEAR(static_cast<double>(charged.limits(1e6, 900, 0)[0].dwell_burst_ns), 0.4e6, 0.2e6);
}

TEST(Members, NobodyIsLikeAnIdleProcess) {
  Members members(options());
  members.book({}, {}, kStart, kStart + kSecond);
  EXPECT_NEAR(members.allowance().rate_ns_per_s, 1e6, 1);
  EXPECT_EQ(members.allowance().strain, 0);
}

}  // namespace
}  // namespace mapwatch::govern
