#include "forensics/map_type.h"

#include <array>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

constexpr std::uint64_t kMaxBlock = 4096;  // 8 keys and 8 elements of at most 128 bytes each take 2,064

Error malformed(std::uint64_t address, std::string what) {
  return Error{
      ErrorKind::kMalformed, fmt::format("the map type at {:#x}: {}", address, what),
      "give the address of a map's type descriptor; a Go version newer than this mapwatch may lay it out anew"};
}

/// The length of the array that is the struct's field `index`; 0 when it is none.
std::uint64_t array_length(TypeReader& types, const GoType& block, std::size_t index) {
  if (block.kind != GoKind::kStruct || index >= block.fields.size()) {
    return 0;
  }
  const auto field = types.at(block.fields[index].type);
  return field && (*field)->kind == GoKind::kArray ? (*field)->length : 0;
}

/// Slots of one block: the compiler builds bucket { topbits [8]uint8; keys [8]K; elems [8]V; overflow } and
/// group { ctrl uint64; slots [8]slot } or { ctrl uint64; keys [8]K; elems [8]V }.
std::uint64_t slots_of(TypeReader& types, const GoType& block, elf::MapKind kind) {
  return array_length(types, block, kind == elf::MapKind::kSwiss ? 1 : 0);
}

void read_buckets(const Memory& memory, std::uint64_t address, MapType& map) {
  const auto byte = [&](std::uint64_t at) { return memory.get<std::uint8_t>(address + at).value_or(0); };
  const auto flags = memory.get<std::uint32_t>(address + 84).value_or(0);
  map.indirect_key = (flags & 1) != 0;
  map.indirect_element = (flags & 2) != 0;
  map.need_key_update = (flags & 8) != 0;
  map.hash_might_panic = (flags & 16) != 0;
  MapGeometry& g = map.geometry;
  g.key_slot_bytes = g.key_stride = byte(80);
  g.element_slot_bytes = g.element_stride = byte(81);
  g.block_bytes = memory.get<std::uint16_t>(address + 82).value_or(0);
  g.keys_offset = g.slots;
  g.elements_offset = g.keys_offset + g.slots * g.key_stride;
  g.overflow_offset = g.block_bytes >= 8 ? g.block_bytes - 8 : 0;
}

void read_groups(const Memory& memory, std::uint64_t address, int minor, MapType& map) {
  const auto word = [&](std::uint64_t at) { return memory.word(address + at).value_or(0); };
  const bool split = minor >= 27;  // KeysOff 88, KeyStride 96, ElemsOff 104, ElemStride 112, ElemOff 120, Flags 128
  const auto flags = memory.get<std::uint32_t>(address + (split ? 128 : 104)).value_or(0);
  map.need_key_update = (flags & 1) != 0;
  map.hash_might_panic = (flags & 2) != 0;
  map.indirect_key = (flags & 4) != 0;
  map.indirect_element = (flags & 8) != 0;
  MapGeometry& g = map.geometry;
  g.block_bytes = word(80);
  if (split) {
    g.keys_offset = word(88);
    g.key_stride = word(96);
    g.elements_offset = word(104);
    g.element_stride = word(112);
  } else {
    g.keys_offset = 8;  // the control word; checked against the group's own descriptor
    g.key_stride = g.element_stride = word(88);
    g.elements_offset = g.keys_offset + word(96);
  }
  g.key_slot_bytes = map.indirect_key ? 8 : map.key->size;
  g.element_slot_bytes = map.indirect_element ? 8 : map.element->size;
}

/// Buckets that reflect.MapOf made at run time have a descriptor without fields: the slots follow from the sizes.
std::uint64_t slots_by_size(const Memory& memory, std::uint64_t address) {
  const std::uint64_t slot = 1 + std::uint64_t{memory.get<std::uint8_t>(address + 80).value_or(0)} +
                             memory.get<std::uint8_t>(address + 81).value_or(0);
  const std::uint64_t bytes = memory.get<std::uint16_t>(address + 82).value_or(0);
  return bytes >= 8 && (bytes - 8) % slot == 0 ? (bytes - 8) / slot : 0;
}

/// Empty when all parts of the geometry fit each other and the block's descriptor; else what does not.
std::string contradiction(const MapType& map, std::uint64_t block_size, const GoType* block) {
  const MapGeometry& g = map.geometry;
  const bool buckets = map.kind == elf::MapKind::kBuckets;
  const std::uint64_t limit = buckets ? g.overflow_offset : g.block_bytes;
  if (g.block_bytes != block_size || g.block_bytes > kMaxBlock) {
    return fmt::format("a block of {} bytes, its own descriptor says {}", g.block_bytes, block_size);
  }
  if (g.key_slot_bytes != (map.indirect_key ? 8 : map.key->size) ||
      g.element_slot_bytes != (map.indirect_element ? 8 : map.element->size)) {
    return "its slots do not fit its key and element";
  }
  if (g.key_stride > kMaxBlock || g.element_stride > kMaxBlock || g.keys_offset > limit || g.elements_offset > limit ||
      g.key_at(g.slots - 1) + g.key_slot_bytes > limit || g.element_at(g.slots - 1) + g.element_slot_bytes > limit) {
    return "its slots reach beyond the block";
  }
  const bool fields_fit = block == nullptr || (block->fields.size() >= 2 && block->fields[1].offset == g.keys_offset &&
                                               (!buckets || block->fields.back().offset <= g.overflow_offset));
  return fields_fit ? std::string() : "the parts of its block lie elsewhere than expected";
}

}  // namespace

Result<MapType> read_map_type(TypeReader& types, std::uint64_t address) {
  const Memory& memory = types.memory();
  const GoType* type = TRY(types.at(address));
  if (type->kind != GoKind::kMap) {
    return tl::unexpected(malformed(address, fmt::format("it is {}, no map", types.name(*type))));
  }
  MapType map;
  map.address = address;
  map.kind = types.space().maps;
  map.name = types.name(*type);
  map.key = TRY(types.at(type->key));
  map.element = TRY(types.at(type->element));
  map.hasher = memory.word(address + 72).value_or(0);
  const std::uint64_t block_address = memory.word(address + 64).value_or(0);
  const bool made_at_run_time = block_address < types.space().begin || block_address >= types.space().end;
  const GoType* block = nullptr;
  if (map.kind != elf::MapKind::kBuckets || !made_at_run_time) {
    block = TRY(types.at(block_address));
  }
  const std::uint64_t slots = block != nullptr ? slots_of(types, *block, map.kind) : slots_by_size(memory, address);
  if (slots == 0 || slots > 8) {  // marks are one 64-bit word in every version
    return tl::unexpected(malformed(address, fmt::format("{} slots in a block", slots)));
  }
  map.geometry.slots = static_cast<std::uint32_t>(slots);
  if (map.kind == elf::MapKind::kBuckets) {
    read_buckets(memory, address, map);
  } else {
    read_groups(memory, address, types.space().minor, map);
  }
  if (std::string why = contradiction(map, memory.word(block_address).value_or(0), block); !why.empty()) {
    return tl::unexpected(malformed(address, std::move(why)));
  }
  return map;
}

}  // namespace mapwatch::forensics
