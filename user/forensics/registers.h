// Registers of a thread, as far as stacks need them.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace mapwatch::forensics {

struct ThreadRegisters {
  std::uint64_t pc = 0;
  std::uint64_t sp = 0;
  std::uint64_t bp = 0;
};

/// By thread id as the target itself knows it (in its PID namespace): what runtime.m.procid holds.
using RegisterMap = std::unordered_map<std::uint64_t, ThreadRegisters>;

}  // namespace mapwatch::forensics
