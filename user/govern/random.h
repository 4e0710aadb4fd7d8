// Random times from a seed: the same seed gives the same plan on every machine (std's distributions need not).
#pragma once

#include <cmath>
#include <cstdint>

namespace mapwatch::govern {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// [0, 1)
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  /// Time between two events of a Poisson process of `per_s` events a second, ns.
  double gap_ns(double per_s) { return -std::log1p(-unit()) / per_s * 1e9; }

 private:
  std::uint64_t state_;
};

}  // namespace mapwatch::govern
