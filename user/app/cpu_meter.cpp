#include "app/cpu_meter.h"

#include <algorithm>

namespace mapwatch::app {

namespace {

constexpr double kSecond = 1e9;
constexpr double kNsPerLook = 20e6;

}  // namespace

void CpuMeter::read(int pid, Use& use) const {
  if (const auto stat = procfs_.stat(pid)) {
    use.now = std::max(use.now, stat->user_ticks + stat->system_ticks);
  }
}

void CpuMeter::add(int pid) {
  Use use;
  read(pid, use);
  use.at_start = use.now;
  uses_.insert_or_assign(pid, use);
}

void CpuMeter::drop(int pid) {
  const auto found = uses_.find(pid);
  if (found == uses_.end()) {
    return;
  }
  read(pid, found->second);
  gone_ticks_ += found->second.now - found->second.at_start;
  uses_.erase(found);
}

void CpuMeter::turn(std::uint64_t now_ns) {
  const double number = static_cast<double>(uses_.size());
  const double round_ns = std::max(kSecond, number * kNsPerLook);
  due_ = std::min(due_ + number * static_cast<double>(now_ns - last_ns_) / round_ns, number);
  last_ns_ = now_ns;
  for (; due_ >= 1; due_ -= 1) {
    auto at = uses_.lower_bound(next_);
    at = at == uses_.end() ? uses_.begin() : at;
    read(at->first, at->second);
    next_ = at->first + 1;
  }
}

void CpuMeter::read_all() {
  for (auto& [pid, use] : uses_) {
    read(pid, use);
  }
}

std::optional<std::uint64_t> CpuMeter::ticks(int pid) const {
  const auto found = uses_.find(pid);
  return found == uses_.end() ? std::nullopt : std::optional(found->second.now - found->second.at_start);
}

std::uint64_t CpuMeter::total_ticks() const {
  std::uint64_t total = gone_ticks_;
  for (const auto& [pid, use] : uses_) {
    total += use.now - use.at_start;
  }
  return total;
}

}  // namespace mapwatch::app
