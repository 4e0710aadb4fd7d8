// What one process was charged and what CPU time it used, over the last second and the last ten.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mapwatch::govern {

class Ledger {
 public:
  static constexpr std::uint64_t kStepNs = 50'000'000;
  static constexpr std::uint64_t kSecondNs = 1'000'000'000;

  struct Sums {
    double cost_ns = 0;
    double cpu_ns = 0;
  };

  /// Both were counted over [from, to] and are spread evenly over it. Earlier than the last `to` counts as that.
  void add(std::uint64_t from_ns, std::uint64_t to_ns, double cost_ns, double cpu_ns);

  /// Up to the last `to`. A step that has begun counts as a whole, so each covers a little more than it says.
  Sums second() const { return short_; }
  Sums ten_seconds() const { return long_; }
  /// CPU time of the idlest of the last ten seconds by that of an average one: 1 of a process that works all the time,
  /// 0 of one that works by fits.
  double steadiness() const;
  /// CPUs used at a time: the highest average of a step or of one add(), over the last seconds (it fades by 10 s).
  double peak_cpus() const { return peak_; }

 private:
  static constexpr std::size_t kShortSteps = kSecondNs / kStepNs + 1;
  static constexpr std::size_t kLongSteps = 10 * kSecondNs / kStepNs + 1;
  struct Step {
    float cost_ns = 0;
    float cpu_ns = 0;
  };

  void advance(std::uint64_t step);
  void put(std::uint64_t step, double cost_ns, double cpu_ns);

  std::array<Step, kLongSteps> steps_ = {};
  std::uint64_t newest_ = 0;  ///< number of the newest step: time / kStepNs
  std::uint64_t last_ns_ = 0;
  bool started_ = false;
  Sums short_;
  Sums long_;
  double peak_ = 0;
};

}  // namespace mapwatch::govern
