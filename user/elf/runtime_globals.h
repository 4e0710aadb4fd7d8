// Where the variables of the Go scheduler lie. Stripped programs have no names for them: they are read off the
// instructions of a runtime function that refers to each. The rules hold for optimised builds of Go 1.17 to 1.27
// (checked against the symbol tables of 66 builds); whoever reads memory by them checks what is found there.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "elf/go_binary.h"
#include "elf/image.h"
#include "elf/moduledata.h"

namespace mapwatch::elf {

enum class GlobalSource {
  kNone,
  kSymbols,  ///< the symbol table
  kCode,     ///< instructions that refer to them
};

/// Addresses at load bias 0; 0: not found.
struct RuntimeGlobals {
  GlobalSource source = GlobalSource::kNone;
  std::uint64_t allgs = 0;    ///< []*g
  std::uint64_t allgptr = 0;  ///< **g, the same array; with allglen it is what the runtime reads without a lock
  std::uint64_t allglen = 0;
  std::uint64_t allm = 0;        ///< *m, a list by m.alllink
  std::uint64_t allp = 0;        ///< []*p
  std::uint64_t sched = 0;       ///< schedt
  std::uint64_t gcphase = 0;     ///< uint32: 0 off, 1 mark, 2 mark termination
  std::uint64_t init_time = 0;   ///< runtime.runtimeInitTime, int64 nanotime; by the symbol table only, as the next
  std::uint64_t time_start = 0;  ///< time.startNano; programs without package time have none
};

/// `find` gives a function by its pclntab name.
RuntimeGlobals find_runtime_globals(const Image& image, const std::optional<ModuleData>& module,
                                    const std::function<std::optional<Function>(std::string_view)>& find);

}  // namespace mapwatch::elf
