// Durations counted by how long they were.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mapwatch::metrics {

class Histogram {
 public:
  /// Upper bounds of the buckets, in seconds; one more, without a bound, holds the rest.
  static constexpr std::array<double, 12> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                     0.1,   0.25,   0.5,   1,    2.5,   10};

  void add(std::uint64_t ns) {
    const double seconds = static_cast<double>(ns) / 1e9;
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && seconds > kBounds[bucket]) {
      ++bucket;
    }
    ++counts_[bucket];
    ++count_;
    sum_ += seconds;
  }
  void add(const Histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      counts_[i] += other.counts_[i];
    }
    count_ += other.count_;
    sum_ += other.sum_;
  }

  /// Not cumulative; the last one is of those beyond all bounds.
  const std::array<std::uint64_t, kBounds.size() + 1>& counts() const { return counts_; }
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::array<std::uint64_t, kBounds.size() + 1> counts_ = {};
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace mapwatch::metrics
