// Type descriptors: address -> the type's own string, on stripped binaries too. Sources: internal/abi/type.go (Type,
// Name), runtime/type.go (rtype.string), Go 1.17 to 1.27.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "elf/image.h"
#include "elf/moduledata.h"

namespace mapwatch::elf {

/// "map[string]*main.Session" for the descriptor at `address`; kMalformed when there is none.
Result<std::string> read_type_name(const Image& image, const ModuleData& module, std::uint64_t address);

/// The word at `address` is the place in a type descriptor that tells its name, by two offsets of 32 bits.
bool is_name_of_type(const Image& image, const ModuleData& module, std::uint64_t address);

}  // namespace mapwatch::elf
