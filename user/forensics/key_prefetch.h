// Reads the strings of many keys at once: a map of ten million string keys is ten million small reads otherwise.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "forensics/map_type.h"
#include "forensics/memory.h"

namespace mapwatch::forensics {

/// The target's memory, with the strings of the keys that were asked for last at hand.
class KeyPrefetch final : public Memory {
 public:
  KeyPrefetch(const Memory& memory, const MapType& map) : memory_(memory), map_(map) {}

  /// Reads the strings of the live keys of `blocks`, which lie one behind another. Forgets those of the last call.
  /// Returns the bytes it read; 0 for keys that are no strings.
  std::uint64_t fetch(std::span<const std::uint8_t> blocks);

  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override;
  std::span<const Mapping> mappings() const override { return memory_.mappings(); }

 private:
  struct Piece {
    std::uint64_t address = 0;
    std::size_t offset = 0;  ///< in bytes_
    std::size_t size = 0;
    bool good = false;
  };

  bool live(std::uint8_t mark) const;

  const Memory& memory_;
  const MapType& map_;
  std::vector<Piece> pieces_;  ///< by address
  std::vector<std::uint8_t> bytes_;
};

}  // namespace mapwatch::forensics
