// Memory held in this process: what was copied while a target was frozen, and what tests make up.
#pragma once

#include <map>
#include <vector>

#include "forensics/memory.h"

namespace mapwatch::forensics {

struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class SnapshotMemory : public Memory {
 public:
  SnapshotMemory() = default;
  /// Copies the ranges that can be read, and the mappings. A range that cannot be read whole is left out.
  static SnapshotMemory copy(const Memory& from, std::span<const Range> ranges);

  /// Later bytes go over earlier ones where they overlap.
  void add(std::uint64_t address, std::vector<std::uint8_t> bytes);
  void set_mappings(std::vector<Mapping> mappings) { mappings_ = std::move(mappings); }
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void put(std::uint64_t address, T value) {
    const auto* begin = reinterpret_cast<const std::uint8_t*>(&value);
    add(address, std::vector<std::uint8_t>(begin, begin + sizeof(T)));
  }

  /// A read may span pieces that touch.
  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override;
  std::span<const Mapping> mappings() const override { return mappings_; }

 private:
  std::map<std::uint64_t, std::vector<std::uint8_t>> pieces_;  ///< by first address, never overlapping
  std::vector<Mapping> mappings_;
};

}  // namespace mapwatch::forensics
