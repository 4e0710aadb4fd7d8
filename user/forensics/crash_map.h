// Which map a crashing goroutine was using, from its own stack: for a crash of which no probe saw the operation begin.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "forensics/call_arguments.h"
#include "forensics/go_type.h"
#include "forensics/memory.h"

namespace mapwatch::forensics {

struct CrashMap {
  std::uint64_t map = 0;
  std::uint64_t type = 0;
  std::uint64_t len = 0;
  mw_op op = MW_OP_NONE;
  std::string function;  ///< the map function whose arguments tell it
};

/// The map of the innermost map function on the stack that `registers` stand on, in runtime.fatal or throw. It is told
/// when code proves which argument it is (CallArguments), its type is that of a map and its header can be read;
/// whatever is wrong with the header beyond that is the reader's to find. kMalformed says what is missing. Copies at
/// most 64 KiB.
Result<CrashMap> find_crash_map(TypeReader& types, const GoProcess& process, const ThreadRegisters& registers);

}  // namespace mapwatch::forensics
