// Struct offsets from a program's own DWARF, by libdw.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "elf/go_binary.h"
#include "elf/image.h"

namespace mapwatch::elf {

struct DwarfField {
  std::string_view name;
  std::uint32_t* offset = nullptr;
};

struct DwarfStruct {
  std::string name;
  std::vector<DwarfField> fields;
  bool optional = false;
  bool found = false;
};

/// Writes the byte offsets of the fields; a struct that lacks one of them counts as not found and writes nothing.
/// False when there is no DWARF, when it is broken, or when a struct that is not optional is not found early in
/// .debug_info (after the types of packages before "runtime"): within 4 MiB, or 64 MiB when `otherwise`, what is used
/// then, is kUnverified and so no substitute.
bool read_dwarf_structs(const Image& image, OffsetSource otherwise, std::vector<DwarfStruct>& wanted);

/// Offsets of runtime.g, m, stack and the map and iterator types of `kind`. Fields of an iterator type that the
/// program does not have stay those of `table`. nullopt unless read_dwarf_structs finds the others.
std::optional<Offsets> dwarf_offsets(const Image& image, MapKind kind, const Offsets& table);

}  // namespace mapwatch::elf
