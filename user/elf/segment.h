// One program header of an ELF file, and the way from an address to file bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace mapwatch::elf {

/// address .. address + file_size is file bytes, the rest up to memory_size is zero.
struct Segment {
  std::uint64_t address = 0;
  std::uint64_t memory_size = 0;
  std::uint64_t offset = 0;
  std::uint64_t file_size = 0;
  bool executable = false;
  bool writable = false;

  bool holds(std::uint64_t where) const { return where >= address && where - address < file_size; }
};

/// File offset of `address`; nullopt when no segment has file bytes for it.
inline std::optional<std::uint64_t> offset_of(std::span<const Segment> segments, std::uint64_t address) {
  for (const Segment& segment : segments) {
    if (segment.holds(address)) {
      return segment.offset + (address - segment.address);
    }
  }
  return std::nullopt;
}

}  // namespace mapwatch::elf
