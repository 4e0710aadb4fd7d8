#include "forensics/go_type.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

// abi.Type: Size_ 0, PtrBytes 8, Hash 16, TFlag 20, Align_ 21, FieldAlign_ 22, Kind_ 23, Equal 24, GCData 32, Str 40.
constexpr std::size_t kHeader = 48;
constexpr std::uint8_t kFlagExtraStar = 1 << 1;      // abi.TFlagExtraStar
constexpr std::uint8_t kFlagRegularMemory = 1 << 3;  // abi.TFlagRegularMemory
constexpr std::uint8_t kFlagDirectInterface = 1 << 5;
constexpr std::uint8_t kKindMask = 31;
constexpr std::uint8_t kKindDirectInterface = 1 << 5;  // in Kind_ up to Go 1.25, in TFlag from 1.26
constexpr std::uint64_t kMaxName = 4096;

constexpr std::array<std::string_view, 27> kKindNames = {
    "invalid", "bool",   "int",       "int8",    "int16",   "int32",   "int64",     "uint",       "uint8",
    "uint16",  "uint32", "uint64",    "uintptr", "float32", "float64", "complex64", "complex128", "array",
    "chan",    "func",   "interface", "map",     "ptr",     "slice",   "string",    "struct",     "unsafe.Pointer"};

template <typename T>
T take(std::span<const std::uint8_t> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

}  // namespace

TypeSpace type_space(const elf::GoBinary& binary, std::uint64_t bias) {
  TypeSpace space{binary.version().minor, binary.map_kind(), 0, 0};
  if (const auto range = binary.type_range()) {
    space.begin = range->begin + bias;
    space.end = range->end + bias;
  }
  return space;
}

std::string TypeReader::name_at(std::uint64_t address) const {
  // A byte of flags, a varint length (at most 3 bytes are believed), the bytes.
  std::uint64_t length = 0;
  for (unsigned i = 0; i < 3; ++i) {
    const auto byte = memory_.get<std::uint8_t>(address + 1 + i);
    if (!byte) {
      return {};
    }
    length |= std::uint64_t{*byte & 0x7fU} << (7 * i);
    if ((*byte & 0x80) == 0) {
      std::string text(std::min(length, kMaxName), '\0');
      const bool good = memory_.read(address + 2 + i, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
      return good ? text : std::string();
    }
  }
  return {};
}

Result<const GoType*> TypeReader::at(std::uint64_t address) {
  const auto known = types_.find(address);
  if (known != types_.end()) {
    return known->second.get();
  }
  if (types_.size() >= kMaxTypes) {
    return fail(ErrorKind::kMalformed, fmt::format("more than {} type descriptors", kMaxTypes));
  }
  GoType type = TRY(read(address));
  return types_.emplace(address, std::make_unique<GoType>(std::move(type))).first->second.get();
}

Result<GoType> TypeReader::read(std::uint64_t address) const {
  const auto malformed = [&](std::string_view what) {
    return fail(ErrorKind::kMalformed, fmt::format("no type descriptor at {:#x}: {}", address, what));
  };
  std::array<std::uint8_t, kHeader> header;
  if (address == 0 || address % 8 != 0) {
    return malformed("not an address of one");
  }
  if (!memory_.read(address, header)) {
    return malformed("not readable");
  }
  GoType type;
  type.address = address;
  type.size = take<std::uint64_t>(header, 0);
  type.pointer_bytes = take<std::uint64_t>(header, 8);
  const std::uint8_t flags = header[20];
  const std::uint8_t kind = header[23] & kKindMask;
  if (kind == 0 || kind >= kKindNames.size()) {
    return malformed(fmt::format("kind {} is none", kind));
  }
  if (type.size > kMaxSize || type.pointer_bytes > type.size) {
    return malformed(fmt::format("size {} with {} bytes of pointers", type.size, type.pointer_bytes));
  }
  type.kind = static_cast<GoKind>(kind);
  type.regular_memory = (flags & kFlagRegularMemory) != 0;
  type.direct_interface =
      space_.minor >= 26 ? (flags & kFlagDirectInterface) != 0 : (header[23] & kKindDirectInterface) != 0;
  const auto name_offset = take<std::int32_t>(header, 40);
  if (address >= space_.begin && address < space_.end && name_offset > 0 &&
      static_cast<std::uint64_t>(name_offset) < space_.end - space_.begin) {
    type.name = name_at(space_.begin + static_cast<std::uint64_t>(name_offset));
    if ((flags & kFlagExtraStar) != 0 && type.name.starts_with('*')) {
      type.name.erase(0, 1);
    }
  }
  const auto word = [&](std::uint64_t offset) { return memory_.word(address + offset).value_or(0); };
  switch (type.kind) {
    case GoKind::kArray:
      type.element = word(48);
      type.length = word(64);
      break;
    case GoKind::kMap:
      type.key = word(48);
      type.element = word(56);
      break;
    case GoKind::kChan:
    case GoKind::kPointer:
    case GoKind::kSlice:
      type.element = word(48);
      break;
    case GoKind::kInterface:
      type.length = word(64);  // InterfaceType: PkgPath 48, Methods 56 (pointer, length, capacity)
      break;
    case GoKind::kStruct:
      TRY(read_fields(type));
      break;
    default:
      break;
  }
  return type;
}

Result<void> TypeReader::read_fields(GoType& type) const {
  // StructType: PkgPath 48, Fields 56 (pointer, length, capacity). StructField: Name 0, Typ 8, Offset 16.
  constexpr std::uint64_t kFieldSize = 24;
  const std::uint64_t fields = memory_.word(type.address + 56).value_or(0);
  const std::uint64_t count = memory_.word(type.address + 64).value_or(0);
  if (count > kMaxFields) {
    return fail(ErrorKind::kMalformed, fmt::format("the struct at {:#x} claims {} fields", type.address, count));
  }
  std::vector<std::uint8_t> bytes(count * kFieldSize);
  if (!memory_.read(fields, bytes)) {
    return fail(ErrorKind::kMalformed, fmt::format("the fields of the struct at {:#x} are not readable", type.address));
  }
  for (std::size_t i = 0; i < count; ++i) {
    GoField field;
    field.name = name_at(take<std::uint64_t>(bytes, i * kFieldSize));
    field.type = take<std::uint64_t>(bytes, i * kFieldSize + 8);
    field.offset = take<std::uint64_t>(bytes, i * kFieldSize + 16);
    if (space_.minor < 19) {
      field.offset >>= 1;  // the lowest bit says "embedded" (runtime.structfield.offsetAnon)
    }
    if (field.offset > type.size) {
      return fail(ErrorKind::kMalformed,
                  fmt::format("field {} of the struct at {:#x} is outside of it", i, type.address));
    }
    type.fields.push_back(std::move(field));
  }
  return {};
}

std::string TypeReader::name(const GoType& type) {
  constexpr int kDepth = 6;
  return type.name.empty() ? name(type.address, kDepth) : type.name;
}

std::string TypeReader::name(std::uint64_t address, int depth) {
  const auto type = at(address);
  if (!type || depth == 0) {
    return "?";
  }
  const GoType& t = **type;
  if (!t.name.empty()) {
    return t.name;
  }
  switch (t.kind) {
    case GoKind::kArray:
      return fmt::format("[{}]{}", t.length, name(t.element, depth - 1));
    case GoKind::kSlice:
      return "[]" + name(t.element, depth - 1);
    case GoKind::kPointer:
      return "*" + name(t.element, depth - 1);
    case GoKind::kChan:
      return "chan " + name(t.element, depth - 1);
    case GoKind::kMap:
      return fmt::format("map[{}]{}", name(t.key, depth - 1), name(t.element, depth - 1));
    default:
      return std::string(kKindNames[static_cast<std::size_t>(t.kind)]);
  }
}

}  // namespace mapwatch::forensics
