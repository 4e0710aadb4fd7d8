#include "elf/name_index.h"

#include <bit>
#include <functional>

namespace mapwatch::elf {

NameIndex::NameIndex(std::span<const Function> functions) : slots_(std::bit_ceil(2 * functions.size() + 2)) {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = 0; i < functions.size(); ++i) {
    std::size_t slot = std::hash<std::string_view>{}(functions[i].name) & mask;
    while (slots_[slot] != 0 && functions[slots_[slot] - 1].name != functions[i].name) {
      slot = (slot + 1) & mask;
    }
    if (slots_[slot] == 0) {
      slots_[slot] = static_cast<std::uint32_t>(i + 1);
    }
  }
}

std::optional<std::size_t> NameIndex::find(std::string_view name, std::span<const Function> functions) const {
  if (slots_.empty()) {
    return std::nullopt;
  }
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = std::hash<std::string_view>{}(name)&mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    if (functions[slots_[slot] - 1].name == name) {
      return slots_[slot] - 1;
    }
  }
  return std::nullopt;
}

}  // namespace mapwatch::elf
