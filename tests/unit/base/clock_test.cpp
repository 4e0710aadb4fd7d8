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
  EXPECT_GE(clock.boottime_ns(), shown);
  EXPECT_GT(clock.realtime_ns(), 1'600'000'000'000'000'000);  // after 2020
}

/// Time goes by with each look.
class SlowClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override {
    static constexpr std::uint64_t kSteps[] = {10, 400, 10, 20, 10, 90};
    return now_ += kSteps[looks_++ % 6];
  }
  std::int64_t realtime_ns() const override { return static_cast<std::int64_t>(now_) + 1'000'000; }
  std::uint64_t boottime_ns() const override { return now_ + 5; }

 private:
  mutable std::size_t looks_ = 0;
  mutable std::uint64_t now_ = 0;
};

TEST(ReadClocks, TheReadingThatTookTheLeastTimeCounts) {
  const ClockReading reading = read_clocks(SlowClock());
  EXPECT_EQ(reading.uncertainty_ns, 20u);
  EXPECT_EQ(reading.monotonic_ns, 430u);
  EXPECT_EQ(reading.realtime_ns, 1'000'420);
  EXPECT_EQ(reading.boottime_ns, 425u);
  EXPECT_EQ(reading.wall_ns(400), 1'000'390) << "before the reading, too";
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
