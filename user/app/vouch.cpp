#include "app/vouch.h"

#include <cstring>
#include <string_view>
#include <variant>

namespace mapwatch::app {

namespace {

constexpr std::uint64_t kCallSize = 5;  // E8 rel32 (Intel SDM vol. 2, CALL)
constexpr std::uint8_t kCallOpcode = 0xe8;

bool is_map_function(std::string_view name) {
  for (const std::string_view prefix : {"runtime.map", "internal/runtime/maps.", "reflect.map"}) {
    if (name.starts_with(prefix)) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool returns_from_map_function(const elf::GoBinary& binary, std::uint64_t address) {
  if (address < kCallSize) {
    return false;
  }
  const auto code = binary.code(address - kCallSize, address);
  if (!code || code->read<std::uint8_t>(0) != kCallOpcode) {
    return false;
  }
  const auto distance = code->read<std::int32_t>(1);
  const std::uint64_t target = address + static_cast<std::uint64_t>(std::int64_t{distance.value_or(0)});
  const auto function = binary.at(target);
  return distance && function && function->entry == target && is_map_function(function->name);
}

std::vector<std::byte> vouch(ingest::Event& event, Bytes record, const elf::BinarySource* source,
                             std::uint64_t load_bias) {
  std::uint64_t* pc = nullptr;
  std::size_t offset = 0;
  if (auto* access = std::get_if<ingest::AccessEvent>(&event)) {
    pc = &access->other_pc;
    offset = offsetof(mw_access_event, other_pc);
  } else if (auto* fatal = std::get_if<ingest::FatalEvent>(&event)) {
    pc = &fatal->other_pc;
    offset = offsetof(mw_fatal_event, other_pc);
  }
  if (pc == nullptr || *pc == 0) {
    return {};
  }
  const std::shared_ptr<const elf::GoBinary> binary = source == nullptr ? nullptr : source->get();
  if (binary && returns_from_map_function(*binary, *pc - load_bias)) {
    return {};
  }
  *pc = 0;
  std::vector<std::byte> without(record.data(), record.data() + record.size());
  std::memset(without.data() + offset, 0, sizeof(*pc));  // it was there to be decoded
  return without;
}

}  // namespace mapwatch::app
