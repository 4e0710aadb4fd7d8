#include "govern/ledger.h"

#include <gtest/gtest.h>

namespace mapwatch::govern {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1000 * kMs;
constexpr std::uint64_t kStart = 1000 * kSecond;

TEST(Ledger, SumsOverOneSecondAndTen) {
  Ledger ledger;
  for (std::uint64_t now = kStart; now < kStart + 30 * kSecond; now += 100 * kMs) {
    ledger.add(now, now + 100 * kMs, 1000, 50e6);
  }
  // A step that has begun counts as a whole: a little more than it says, never less.
  EXPECT_GE(ledger.second().cost_ns, 10'000);
  EXPECT_LE(ledger.second().cost_ns, 10'500);
  EXPECT_GE(ledger.ten_seconds().cost_ns, 100'000);
  EXPECT_LE(ledger.ten_seconds().cost_ns, 100'500);
  EXPECT_NEAR(ledger.second().cpu_ns, 0.5e9, 0.03e9);
  EXPECT_NEAR(ledger.ten_seconds().cpu_ns, 5e9, 0.03e9);
  EXPECT_NEAR(ledger.peak_cpus(), 0.5, 0.01);
  EXPECT_NEAR(ledger.steadiness(), 1, 0.02);
}

TEST(Ledger, WhatIsOldIsForgotten) {
  Ledger ledger;
  ledger.add(kStart, kStart + 100 * kMs, 1000, 1e6);
  ledger.add(kStart + 100 * kMs, kStart + 1500 * kMs, 0, 0);
  EXPECT_EQ(ledger.second().cost_ns, 0);
  EXPECT_NEAR(ledger.ten_seconds().cost_ns, 1000, 0.01);
  ledger.add(kStart + 1500 * kMs, kStart + 11 * kSecond, 0, 0);
  EXPECT_EQ(ledger.ten_seconds().cost_ns, 0);
  ledger.add(kStart + 11 * kSecond, kStart + 5000 * kSecond, 77, 0);
  EXPECT_LT(ledger.ten_seconds().cost_ns, 1) << "spread over an hour and more";
}

TEST(Ledger, ALongSpanIsSpreadEvenly) {
  Ledger ledger;
  ledger.add(kStart, kStart + 4 * kSecond, 4000, 2e9);
  EXPECT_NEAR(ledger.second().cost_ns, 1000, 60);
  EXPECT_NEAR(ledger.ten_seconds().cost_ns, 4000, 0.01);
  EXPECT_NEAR(ledger.peak_cpus(), 0.5, 0.01);
}

TEST(Ledger, TimeDoesNotGoBack) {
  Ledger ledger;
  ledger.add(kStart, kStart + kSecond, 100, 0);
  ledger.add(kStart - 500 * kSecond, kStart - 400 * kSecond, 11, 0);
  EXPECT_NEAR(ledger.second().cost_ns, 111, 0.01);
  ledger.add(kStart + kSecond, kStart + kSecond, 9, 0);
  EXPECT_NEAR(ledger.second().cost_ns, 120, 0.01);
}

TEST(Ledger, WorkByFitsIsNotSteady) {
  Ledger ledger;
  for (std::uint64_t now = kStart; now < kStart + 20 * kSecond; now += kSecond) {
    ledger.add(now, now + kSecond, 0, now / kSecond % 4 == 0 ? 1e9 : 0);
  }
  EXPECT_LT(ledger.steadiness(), 0.1);
}

}  // namespace
}  // namespace mapwatch::govern
