// The start of a compiled Go function on amd64, and the instruction in it that a probe may sit on: where the arguments
// are still in their registers and nothing has been stored yet.
#pragma once

#include <cstdint>
#include <string>

#include <tl/expected.hpp>

#include "arch/instruction.h"
#include "base/bytes.h"

namespace mapwatch::arch {

enum class SiteKind {
  kPush,        ///< `push %rbp` after the stack check, or first where there is none (Go 1.21+)
  kStackCheck,  ///< the jbe of the stack check, where no push follows (Go 1.17-1.20)
};

struct PrologueSite {
  SiteKind kind = SiteKind::kPush;
  Instruction instruction;
};

/// The site in the function whose `code` (all of it) lies at `address`, proven by decoding the prologue that
/// cmd/internal/obj/x86 (stacksplit, preprocess; Go 1.17-1.27) writes:
///   [lea -N(%rsp),%r12 | mov %rsp,%r12; sub $N,%r12; jb grow]  cmp 0x10(%r14),(%rsp|%r12); jbe grow; [push %rbp]
/// or `push %rbp` alone. Every instruction before the site is one of these, so arguments, R14, RSP and RBP are as at
/// entry. Otherwise a reason for people: what was found in its place.
tl::expected<PrologueSite, std::string> find_prologue_site(Bytes code, std::uint64_t address);

}  // namespace mapwatch::arch
