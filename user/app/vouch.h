// What the kernel side read from another goroutine's running stack is believed only where the program's code agrees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "elf/binary_source.h"
#include "elf/go_binary.h"
#include "ingest/event.h"

namespace mapwatch::app {

/// True when `address` (of the file, load bias taken off) is the return address of a direct call of a map function:
/// Go calls them by `call rel32` only (cmd/compile: no other reference to them is emitted for map operations).
bool returns_from_map_function(const elf::GoBinary& binary, std::uint64_t address);

/// Judges what `event` says of where the other side was called from. Where the code of `source` (null: not known)
/// disagrees it is taken out of the event, and `record` (the same event as the kernel sent it) is returned without it;
/// otherwise empty. `load_bias` of the process that sent it.
std::vector<std::byte> vouch(ingest::Event& event, Bytes record, const elf::BinarySource* source,
                             std::uint64_t load_bias);

}  // namespace mapwatch::app
