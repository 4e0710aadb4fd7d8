// Struct offsets from a program's own DWARF, by libdw.
#pragma once

#include <optional>

#include "elf/go_binary.h"
#include "elf/image.h"

namespace mapwatch::elf {

/// Offsets of runtime.g, m, stack and the map and iterator types of `kind`. Fields of an iterator type that the
/// program does not have stay those of `table`. nullopt when there is no DWARF, when it is broken, or when the other
/// structs are not all found within the first 64 MiB of .debug_info (Go's linker writes the runtime's part early).
std::optional<Offsets> dwarf_offsets(const Image& image, MapKind kind, const Offsets& table);

}  // namespace mapwatch::elf
