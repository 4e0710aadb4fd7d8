// Words of a program's data that hold given addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "elf/go_binary.h"
#include "elf/image.h"
#include "elf/moduledata.h"

namespace mapwatch::elf {

/// For each of `targets` (ascending) that has one the first pointer to it, those in `apart` left out: among the
/// relocations and, where pointers need none, in the segments' file bytes (8-aligned). The name of a type, an offset
/// that may have the value of an address, is no pointer. kMalformed when there is more than 1 GiB of segments.
Result<std::vector<Pointer>> find_pointers(const Image& image, const std::optional<ModuleData>& module,
                                           std::span<const AddressRange> apart, std::span<const std::uint64_t> targets);

}  // namespace mapwatch::elf
