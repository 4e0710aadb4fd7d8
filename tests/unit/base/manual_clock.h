// A clock that shows what the test set.
#pragma once

#include "base/clock.h"

namespace mapwatch::test {

class ManualClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return monotonic_; }
  std::int64_t realtime_ns() const override { return realtime_; }
  std::uint64_t boottime_ns() const override { return monotonic_ + slept_; }
  void set(std::uint64_t monotonic, std::int64_t realtime) {
    monotonic_ = monotonic;
    realtime_ = realtime;
  }
  void advance(std::uint64_t ns) {
    monotonic_ += ns;
    realtime_ += static_cast<std::int64_t>(ns);
  }
  /// Somebody sets the wall clock.
  void step(std::int64_t ns) { realtime_ += ns; }
  /// The host sleeps: CLOCK_MONOTONIC stands still (timekeeping_inject_sleeptime64, kernel/time/timekeeping.c).
  void sleep(std::uint64_t ns) {
    slept_ += ns;
    realtime_ += static_cast<std::int64_t>(ns);
  }

 private:
  std::uint64_t slept_ = 0;
  std::uint64_t monotonic_ = 0;
  std::int64_t realtime_ = 0;
};

}  // namespace mapwatch::test
