// Struct offsets from a program's own DWARF, by libdw.
#pragma once

#include <optional>

#include "elf/go_binary.h"
#include "elf/image.h"

namespace mapwatch::elf {

/// Offsets of runtime.g, m, stack and the map and iterator types of `kind`. Fields of an iterator type that the
/// program does not have stay those of `table`. nullopt when there is no DWARF, when it is broken, or when the other
/// structs are not all found early in .debug_info (after the types of packages before "runtime"): within 4 MiB, or 64
/// MiB when `table` is kUnverified and so no substitute.
std::optional<Offsets> dwarf_offsets(const Image& image, MapKind kind, const Offsets& table);

}  // namespace mapwatch::elf
