// What a daemon tells the service manager that started it (sd_notify(3)). Without one nothing is told.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace mapwatch::ops {

class Supervisor {
 public:
  /// By NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. `clock` must outlive it.
  explicit Supervisor(const Clock& clock);

  /// All probes stand that are to stand at the start, or stand again after reloading().
  void ready(const std::string& status);
  /// At most once in kStatusNs, and only what is new.
  void status(const std::string& status);
  void reloading();
  void stopping();
  /// From the loop that is watched over, at each turn: WATCHDOG=1 when half of its time is over.
  void alive();

  static constexpr std::uint64_t kStatusNs = 2'000'000'000;

 private:
  void tell(const std::string& state);

  const Clock& clock_;
  std::uint64_t watchdog_ns_ = 0;  ///< 0: nobody watches over it
  std::uint64_t fed_ns_ = 0;
  std::uint64_t told_ns_ = 0;
  std::string status_;
  bool failed_ = false;
};

}  // namespace mapwatch::ops
