// Ranges of small numbers handed out and taken back: the sites of binaries that come and go.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>
#include <optional>

namespace mapwatch::attach {

class Ranges {
 public:
  /// The numbers [first, end).
  Ranges(std::uint32_t first, std::uint32_t end) : from_(first) { free_.emplace(first, end - first); }

  /// `count` numbers in a row, the first of them; nullopt when there is no such gap. Goes round, so that numbers just
  /// given back are used again last.
  std::optional<std::uint32_t> take(std::uint32_t count) {
    // The gap that goes on where the last one ended, then those behind it, then from the start.
    auto found = free_.upper_bound(from_);
    if (found != free_.begin()) {
      const auto before = std::prev(found);
      const std::uint32_t end = before->first + before->second;
      if (from_ > before->first && end > from_ && end - from_ >= count) {
        return cut(before, from_, count);
      }
    }
    found = find(free_.lower_bound(from_), free_.end(), count);
    found = found == free_.end() ? find(free_.begin(), free_.end(), count) : found;
    return found == free_.end() ? std::nullopt : std::optional(cut(found, found->first, count));
  }

  /// Whether take(count) would give some.
  bool fits(std::uint32_t count) const {
    for (const auto& [first, length] : free_) {
      if (length >= count) {
        return true;
      }
    }
    return false;
  }

  /// Of what take() gave, whole.
  void give_back(std::uint32_t first, std::uint32_t count) {
    if (count == 0) {
      return;
    }
    auto after = free_.lower_bound(first);
    if (after != free_.end() && first + count == after->first) {
      count += after->second;
      after = free_.erase(after);
    }
    if (after != free_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second == first) {
        before->second += count;
        return;
      }
    }
    free_.emplace(first, count);
  }

 private:
  using Gaps = std::map<std::uint32_t, std::uint32_t>;  ///< first number -> how many
  static Gaps::iterator find(Gaps::iterator from, Gaps::iterator to, std::uint32_t count) {
    for (; from != to; ++from) {
      if (from->second >= count) {
        return from;
      }
    }
    return to;
  }

  /// Takes [first, first + count) out of a gap that holds it.
  std::uint32_t cut(Gaps::iterator gap, std::uint32_t first, std::uint32_t count) {
    const std::uint32_t begin = gap->first;
    const std::uint32_t end = begin + gap->second;
    free_.erase(gap);
    if (first > begin) {
      free_.emplace(begin, first - begin);
    }
    if (end > first + count) {
      free_.emplace(first + count, end - first - count);
    }
    from_ = first + count;
    return first;
  }

  Gaps free_;
  std::uint32_t from_;
};

}  // namespace mapwatch::attach
