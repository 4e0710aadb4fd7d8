#include "ops/supervisor.h"

#include <systemd/sd-daemon.h>

#include <system_error>

#include "base/log.h"

namespace mapwatch::ops {

Supervisor::Supervisor(const Clock& clock) : clock_(clock) {
  std::uint64_t every_us = 0;
  if (::sd_watchdog_enabled(0, &every_us) > 0) {
    watchdog_ns_ = every_us * 1000;
  }
}

void Supervisor::tell(const std::string& state) {
  if (const int sent = ::sd_notify(0, state.c_str()); sent < 0 && !failed_) {
    failed_ = true;
    log::warn("the service manager cannot be told: {}", std::generic_category().message(-sent));
  }
}

void Supervisor::ready(const std::string& status) {
  status_ = status;
  told_ns_ = clock_.monotonic_ns();
  tell("READY=1\nSTATUS=" + status);
}

void Supervisor::status(const std::string& status) {
  const std::uint64_t now = clock_.monotonic_ns();
  if (status == status_ || now - told_ns_ < kStatusNs) {
    return;
  }
  status_ = status;
  told_ns_ = now;
  tell("STATUS=" + status);
}

void Supervisor::reloading() {
  // systemd.service(5), Type=notify-reload.
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(clock_.monotonic_ns() / 1000));
}

void Supervisor::stopping() { tell("STOPPING=1\nSTATUS=detaching"); }

void Supervisor::alive() {
  const std::uint64_t now = clock_.monotonic_ns();
  if (watchdog_ns_ == 0 || (fed_ns_ != 0 && now - fed_ns_ < watchdog_ns_ / 2)) {
    return;
  }
  fed_ns_ = now;
  tell("WATCHDOG=1");
}

}  // namespace mapwatch::ops
