#include "base/clock.h"

#include <chrono>

#include <gtest/gtest.h>

#include "base/manual_clock.h"

namespace mapwatch {
namespace {

TEST(SystemClockTest, ShowsTheKernelsClocks) {
  const SystemClock clock;
  const auto steady = [] {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
  };
  const std::uint64_t before = steady();  // libstdc++ reads CLOCK_MONOTONIC
  const std::uint64_t shown = clock.monotonic_ns();
  EXPECT_LE(before, shown);
  EXPECT_LE(shown, steady());
  EXPECT_GT(clock.realtime_ns(), 1'600'000'000'000'000'000);  // after 2020
}

TEST(ManualClockTest, MovesOnlyWhenTold) {
  test::ManualClock clock;
  clock.set(5, 100);
  clock.advance(7);
  const Clock& shown = clock;
  EXPECT_EQ(shown.monotonic_ns(), 12U);
  EXPECT_EQ(shown.realtime_ns(), 107);
}

}  // namespace
}  // namespace mapwatch
