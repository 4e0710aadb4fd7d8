// A program's variables: where they lie, what they are called, and which code refers to them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "elf/go_binary.h"
#include "elf/image.h"

namespace mapwatch::elf {

/// The writable segments, with the zeroed memory behind the file's bytes.
std::vector<AddressRange> variable_ranges(const Image& image);

/// What lies at `address`; empty names where the file has none.
Variable variable_at(const Image& image, std::uint64_t address);

/// Targets of RIP-relative operands in [begin, end), in the order of the instructions of `code`, which lies at
/// `address`.
std::vector<std::uint64_t> data_references(Bytes code, std::uint64_t address, std::uint64_t begin, std::uint64_t end);

/// Functions with an instruction that refers to `address`, at most `most`, by address. `at` gives the function that
/// covers an address.
std::vector<Function> functions_referring_to(const Image& image, std::uint64_t address, std::size_t most,
                                             const std::function<std::optional<Function>(std::uint64_t)>& at);

}  // namespace mapwatch::elf
