// How many events there were in the last minute and the last hour, in fixed memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mapwatch::app {

class Recent {
 public:
  void add(std::uint64_t now_ns) {
    seconds_.add(now_ns / kSecond);
    minutes_.add(now_ns / kMinute);
  }
  /// The present second and the 59 before it.
  std::uint64_t last_minute(std::uint64_t now_ns) const { return seconds_.sum(now_ns / kSecond); }
  /// The present minute and the 59 before it.
  std::uint64_t last_hour(std::uint64_t now_ns) const { return minutes_.sum(now_ns / kMinute); }

 private:
  static constexpr std::uint64_t kSecond = 1'000'000'000;
  static constexpr std::uint64_t kMinute = 60 * kSecond;
  static constexpr std::size_t kSteps = 60;

  /// Counts of the last kSteps steps; events may come a little out of order.
  class Steps {
   public:
    void add(std::uint64_t step) {
      Step& entry = steps_[step % kSteps];
      if (entry.number < step) {
        entry = {step, 0};
      }
      entry.count += entry.number == step ? 1 : 0;
    }
    std::uint64_t sum(std::uint64_t now) const {
      std::uint64_t total = 0;
      for (const Step& entry : steps_) {
        total += entry.number <= now && now - entry.number < kSteps ? entry.count : 0;
      }
      return total;
    }

   private:
    struct Step {
      std::uint64_t number = 0;
      std::uint64_t count = 0;
    };
    std::array<Step, kSteps> steps_ = {};
  };

  Steps seconds_;
  Steps minutes_;
};

}  // namespace mapwatch::app
