// A map's type: its layout in memory as the compiler wrote it into the descriptor. No geometry is assumed: slots,
// strides and offsets come from abi.OldMapType / abi.SwissMapType / abi.MapType and are checked against the descriptor
// of the bucket or group itself. Sources: runtime/type.go (1.17-1.20), internal/abi/map*.go (1.21-1.27).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "forensics/go_type.h"

namespace mapwatch::forensics {

/// A block is a bucket (up to Go 1.23) or a group (1.24+): 8 marks, one byte a slot, then keys and elements.
struct MapGeometry {
  std::uint32_t slots = 0;         ///< in a block; 1..8
  std::uint64_t block_bytes = 0;   ///< from one block of an array to the next
  std::uint64_t marks_offset = 0;  ///< tophash or control bytes
  std::uint64_t keys_offset = 0;   ///< of slot 0
  std::uint64_t key_stride = 0;
  std::uint64_t elements_offset = 0;  ///< of slot 0
  std::uint64_t element_stride = 0;
  std::uint64_t key_slot_bytes = 0;      ///< of a key in its slot: 8 when indirect
  std::uint64_t element_slot_bytes = 0;  ///< of an element in its slot: 8 when indirect
  std::uint64_t overflow_offset = 0;     ///< of the next bucket's address; buckets only

  std::uint64_t key_at(std::uint32_t slot) const { return keys_offset + slot * key_stride; }
  std::uint64_t element_at(std::uint32_t slot) const { return elements_offset + slot * element_stride; }
};

struct MapType {
  std::uint64_t address = 0;
  elf::MapKind kind = elf::MapKind::kBuckets;
  std::string name;
  const GoType* key = nullptr;      ///< owned by the TypeReader
  const GoType* element = nullptr;  ///< owned by the TypeReader
  std::uint64_t hasher = 0;         ///< address of the func value that hashes keys
  bool indirect_key = false;        ///< a slot holds a pointer to the key (keys over 128 bytes)
  bool indirect_element = false;
  bool need_key_update = false;   ///< keys that are equal but not identical (floats, strings in interfaces)
  bool hash_might_panic = false;  ///< interface keys
  MapGeometry geometry;
};

/// kMalformed: not a map's descriptor, or its geometry contradicts itself (a layout this build does not know).
Result<MapType> read_map_type(TypeReader& types, std::uint64_t address);

}  // namespace mapwatch::forensics
