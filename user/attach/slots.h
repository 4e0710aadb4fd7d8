// Small numbers handed out one by one and taken back. The number that was free for longest is handed out next: what a
// kernel program still does for its last owner is over by then.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

namespace mapwatch::attach {

class Slots {
 public:
  /// The numbers [first, end).
  Slots(std::uint32_t first, std::uint32_t end) : next_(first), end_(end) {}

  /// nullopt: all are taken.
  std::optional<std::uint32_t> take() {
    if (next_ < end_) {
      return next_++;
    }
    if (free_.empty()) {
      return std::nullopt;
    }
    const std::uint32_t slot = free_.front();
    free_.pop_front();
    return slot;
  }
  /// Of a number that take() gave.
  void give_back(std::uint32_t slot) { free_.push_back(slot); }

 private:
  std::uint32_t next_;  ///< never handed out yet, up to end_
  std::uint32_t end_;
  std::deque<std::uint32_t> free_;
};

}  // namespace mapwatch::attach
