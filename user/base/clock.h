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
};

class SystemClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return static_cast<std::uint64_t>(read(CLOCK_MONOTONIC)); }
  std::int64_t realtime_ns() const override { return read(CLOCK_REALTIME); }

 private:
  static std::int64_t read(clockid_t id) {
    timespec now = {};
    ::clock_gettime(id, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
  }
};

}  // namespace mapwatch
