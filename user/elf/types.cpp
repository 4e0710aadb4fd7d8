#include "elf/types.h"

#include <fmt/format.h>

namespace mapwatch::elf {
namespace {

// internal/abi.Type: Size_, PtrBytes, Hash, TFlag, Align_, FieldAlign_, Kind_, Equal, GCData, Str, PtrToThis.
constexpr std::uint64_t kTypeSize = 48;
constexpr std::uint64_t kFlagsAt = 20;
constexpr std::uint64_t kKindAt = 23;
constexpr std::uint64_t kStringAt = 40;
constexpr std::uint8_t kExtraStar = 2;  // abi.TFlagExtraStar
constexpr std::uint8_t kKindMask = 31;  // abi.KindMask; the bits above it are flags up to Go 1.25
constexpr std::uint8_t kLastKind = 26;  // abi.UnsafePointer
constexpr std::size_t kMaxName = 64 * 1024;

/// abi.Name: a byte of flags, a varint length, the bytes.
std::optional<std::string_view> read_name(Bytes name) {
  std::uint64_t length = 0;
  for (unsigned i = 0; i < 3; ++i) {
    const auto byte = name.read<std::uint8_t>(1 + i);
    if (!byte) {
      return std::nullopt;
    }
    length |= std::uint64_t{*byte & 0x7fU} << (7 * i);
    if ((*byte & 0x80) == 0) {
      const auto text = length <= kMaxName ? name.sub(2 + i, length) : std::nullopt;
      return text ? std::optional(text->text()) : std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

bool is_name_of_type(const Image& image, const ModuleData& module, std::uint64_t address) {
  return address >= kStringAt && read_type_name(image, module, address - kStringAt).has_value();
}

Result<std::string> read_type_name(const Image& image, const ModuleData& module, std::uint64_t address) {
  const auto malformed = [&](std::string_view what) {
    return fail(ErrorKind::kMalformed, fmt::format("no type descriptor at {:#x}: {}", address, what));
  };
  if (address % 8 != 0 || address < module.types || address >= module.etypes) {
    return malformed("outside of the program's types");
  }
  const auto types = image.at(module.types, module.etypes - module.types);
  const auto type = types ? types->sub(address - module.types, kTypeSize) : std::nullopt;
  if (!type) {
    return malformed("truncated");
  }
  const std::uint8_t kind = *type->read<std::uint8_t>(kKindAt) & kKindMask;
  if (kind == 0 || kind > kLastKind) {
    return malformed(fmt::format("kind {} is none", kind));
  }
  const auto offset = *type->read<std::int32_t>(kStringAt);
  const auto name_bytes = offset > 0 ? types->from(static_cast<std::uint64_t>(offset)) : std::nullopt;
  const auto name = name_bytes ? read_name(*name_bytes) : std::nullopt;
  if (!name || name->empty()) {
    return malformed("it has no name");
  }
  const bool extra_star = (*type->read<std::uint8_t>(kFlagsAt) & kExtraStar) != 0;
  if (extra_star && !name->starts_with('*')) {
    return malformed("its name lacks the star that its flags promise");
  }
  return std::string(extra_star ? name->substr(1) : *name);
}

}  // namespace mapwatch::elf
