// Where a word lies in ranges of a process's memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "elf/go_binary.h"
#include "forensics/bounded_memory.h"

namespace mapwatch::forensics {

struct SearchLimits {
  std::size_t places = 1000;                     ///< listed; all are counted
  std::uint64_t bytes = std::uint64_t{1} << 30;  ///< looked at, over all ranges
};

struct WordPlaces {
  std::vector<std::uint64_t> addresses;  ///< ascending within each range
  std::uint64_t total = 0;
  std::uint64_t bytes_searched = 0;
  std::uint64_t bytes_unreadable = 0;  ///< pages that are not there
  std::string partial;                 ///< why not all of it was looked at; empty: it was
};

/// Words that are `value`, at addresses that are multiples of 8, as Go aligns pointers. Memory that cannot be read is
/// stepped over by pages; ends early when the time of `memory` is over.
WordPlaces find_word(const BoundedMemory& memory, std::span<const elf::AddressRange> ranges, std::uint64_t value,
                     const SearchLimits& limits = {});

/// The same in bytes at hand, which lie at `address`: calls `found` with each place.
template <typename Found>
void find_word(std::span<const std::uint8_t> bytes, std::uint64_t address, std::uint64_t value, const Found& found) {
  for (std::size_t at = (8 - address % 8) % 8; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    __builtin_memcpy(&word, bytes.data() + at, sizeof(word));
    if (word == value) {
      found(address + at);
    }
  }
}

}  // namespace mapwatch::forensics
