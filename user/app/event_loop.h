// One thread waits for everything: kernel events, signals, exits of targets, time.
#pragma once

#include <sys/signalfd.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch::app {

class EventLoop {
 public:
  /// Blocks `signals` in this thread and those it starts later, to read them here instead.
  static Result<EventLoop> create(const std::vector<int>& signals);

  /// `fd` stays the caller's; readable (or hung up) wakes wait().
  Result<void> watch(int fd);
  void unwatch(int fd);

  struct Woken {
    std::vector<signalfd_siginfo> signals;
  };
  /// Waits until a watched descriptor is readable, a signal has come, or `timeout_ms` is over.
  Result<Woken> wait(int timeout_ms);

 private:
  EventLoop(UniqueFd epoll, UniqueFd signals) : epoll_(std::move(epoll)), signals_(std::move(signals)) {}
  UniqueFd epoll_;
  UniqueFd signals_;
};

}  // namespace mapwatch::app
