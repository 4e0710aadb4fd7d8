// One address -> its source frames, inlined calls expanded. Sources: runtime/symtabinl.go, runtime/traceback.go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "elf/go_binary.h"
#include "elf/image.h"
#include "elf/pclntab.h"

namespace mapwatch::elf {

/// A function name as Go's tracebacks print it: type arguments become "[...]" (runtime.funcNameForPrint, Go 1.21+;
/// earlier linkers store it that way).
std::string printed_name(std::string_view name);

/// Frames of `address`, which functions()[index] = `function` covers, innermost first. `gofunc` is
/// ModuleData::gofunc; without it (0) tables from 1.18 on give the physical frame only.
/// `wrapper_id` is wrapper_func_id() of the version.
std::vector<SourceFrame> expand_frames(const Image& image, const PclnTable& table, const Function& function,
                                       std::size_t index, std::uint64_t gofunc, std::uint64_t address,
                                       std::uint8_t wrapper_id);

/// abi.FuncIDWrapper: a method wrapper that the compiler made. Sources: runtime/symtab.go (to 1.20),
/// internal/abi/symtab.go. Newer versions than are known count as the newest.
std::uint8_t wrapper_func_id(int minor);

}  // namespace mapwatch::elf
