// Function name -> place in the function table: one hashed array of 4-byte slots, built in one pass over the names
// where they stand in the file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "elf/go_binary.h"

namespace mapwatch::elf {

class NameIndex {
 public:
  NameIndex() = default;
  explicit NameIndex(std::span<const Function> functions);

  /// Index of the first function of that name. `functions` are those the index was built from.
  std::optional<std::size_t> find(std::string_view name, std::span<const Function> functions) const;

  std::size_t heap_bytes() const { return slots_.capacity() * sizeof(std::uint32_t); }

 private:
  std::vector<std::uint32_t> slots_;  ///< function index + 1; 0: free. Size is a power of two, at most half full.
};

}  // namespace mapwatch::elf
