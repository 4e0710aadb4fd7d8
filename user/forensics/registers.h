// Registers of a thread, as far as stacks and arguments need them.
#pragma once

#include <sys/user.h>

#include <array>
#include <cstdint>
#include <unordered_map>

namespace mapwatch::forensics {

struct ThreadRegisters {
  std::uint64_t pc = 0;
  std::uint64_t sp = 0;
  std::uint64_t bp = 0;
  /// All sixteen general ones, in the order of arch::Register; zeros where only the above are known.
  std::array<std::uint64_t, 16> general = {};

  static ThreadRegisters of(const user_regs_struct& r) {
    return {
        r.rip,
        r.rsp,
        r.rbp,
        {r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15}};
  }
};

/// By thread id as the target itself knows it (in its PID namespace): what runtime.m.procid holds.
using RegisterMap = std::unordered_map<std::uint64_t, ThreadRegisters>;

}  // namespace mapwatch::forensics
