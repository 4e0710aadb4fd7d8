// A token bucket, in ns of cost.
#pragma once

#include <algorithm>

namespace mapwatch::govern {

class Bucket {
 public:
  /// Adds `ns`; it holds `most_ns` at most, and that much at first.
  void fill(double ns, double most_ns) {
    left_ = fresh_ ? most_ns : std::min(most_ns, left_ + ns);
    most_ = most_ns;
    fresh_ = false;
  }
  /// May go below zero: what was spent is known afterwards.
  void spend(double ns) { left_ -= ns; }
  double left() const { return left_; }
  /// Not less than this part of what it can hold.
  void grant(double part) { left_ = std::max(left_, part * most_); }

 private:
  double left_ = 0;
  double most_ = 0;
  bool fresh_ = true;
};

}  // namespace mapwatch::govern
