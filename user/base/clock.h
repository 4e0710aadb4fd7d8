// Time as an argument: whoever needs the clock is given one, so that tests decide what time it is.
#pragma once

#include <ctime>

#include <cstdint>

namespace mapwatch {

class Clock {
 public:
  virtual ~Clock() = default;
  /// CLOCK_MONOTONIC in ns: the clock of the kernel's events (bpf_ktime_get_ns).
  virtual std::uint64_t monotonic_ns() const = 0;
  /// CLOCK_REALTIME in ns since 1970.
  virtual std::int64_t realtime_ns() const = 0;
  /// CLOCK_BOOTTIME in ns: as monotonic, and counts while the host sleeps.
  virtual std::uint64_t boottime_ns() const { return monotonic_ns(); }
};

/// The three clocks at one instant.
struct ClockReading {
  std::uint64_t monotonic_ns = 0;
  std::int64_t realtime_ns = 0;
  std::uint64_t boottime_ns = 0;
  std::uint64_t uncertainty_ns = 0;  ///< they were read within this much

  /// Wall clock of `monotonic` by this reading: right unless the clock is set or the host sleeps in between.
  std::int64_t wall_ns(std::uint64_t monotonic) const {
    return realtime_ns + static_cast<std::int64_t>(monotonic - monotonic_ns);
  }
};

/// Reads them a few times and keeps the reading that took the least time.
inline ClockReading read_clocks(const Clock& clock) {
  constexpr int kReadings = 3;
  ClockReading best;
  for (int i = 0; i < kReadings; ++i) {
    const std::uint64_t before = clock.monotonic_ns();
    const std::int64_t realtime = clock.realtime_ns();
    const std::uint64_t boottime = clock.boottime_ns();
    const std::uint64_t after = clock.monotonic_ns();
    if (i == 0 || after - before < best.uncertainty_ns) {
      best = {before + (after - before) / 2, realtime, boottime, after - before};
    }
  }
  return best;
}

class SystemClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return static_cast<std::uint64_t>(read(CLOCK_MONOTONIC)); }
  std::int64_t realtime_ns() const override { return read(CLOCK_REALTIME); }
  std::uint64_t boottime_ns() const override { return static_cast<std::uint64_t>(read(CLOCK_BOOTTIME)); }

 private:
  static std::int64_t read(clockid_t id) {
    timespec now = {};
    ::clock_gettime(id, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
  }
};

}  // namespace mapwatch
