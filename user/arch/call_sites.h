// All direct calls of given functions in a Go program, each proven by decoding the function that holds it; and whatever
// else leads to those functions. Go calls its runtime by `call rel32` only (cmd/compile/internal/amd64, obj/x86).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "elf/go_binary.h"

namespace mapwatch::arch {

/// A `call rel32` without prefixes, at the boundary of an instruction of a function that decodes from its first byte to
/// its last.
struct CallSite {
  std::uint64_t address = 0;
  std::uint32_t target = 0;  ///< index into the targets
  std::uint32_t caller = 0;  ///< index into the program's functions
};

constexpr unsigned kCallSize = 5;  // E8 rel32 (Intel SDM vol. 2, CALL)

enum class ReferenceKind {
  kJump,        ///< jmp or jcc, but for the one that starts the target again after its stack has grown
  kAddress,     ///< a RIP-relative operand, as of lea
  kPointer,     ///< a word of the program's data
  kUndecoded,   ///< bytes of a call or jump in a function that does not decode
  kMisaligned,  ///< bytes of a call inside of another instruction: one of both is not what it seems
  kOutside,     ///< bytes of a call or jump in code that belongs to no Go function
};

/// What leads to a target and is no call site.
struct OtherReference {
  ReferenceKind kind = ReferenceKind::kJump;
  std::uint64_t address = 0;
  std::uint32_t target = 0;             ///< index into the targets
  std::optional<std::uint32_t> caller;  ///< index into the program's functions
};

struct CallSites {
  std::vector<CallSite> calls;         ///< by address
  std::vector<OtherReference> others;  ///< those in code by address, then those in data
};

/// A program's code, as the scan sees it.
struct ProgramCode {
  std::vector<elf::MappedBytes> segments;    ///< executable ones
  std::span<const elf::Function> functions;  ///< by entry
};

/// The calls of functions that start at `targets` (ascending) in `code`, and the other references in it. A jump of
/// eight bits, which reaches a target only from its neighbours, is not looked for. Errors: kMalformed beyond bounds
/// that no Go program comes near (1 GiB of code, 131,072 references).
Result<CallSites> find_code_references(const ProgramCode& code, std::span<const std::uint64_t> targets);

/// The same of a whole program, with the pointers in its data. Takes time by the size of its text (5 ms a MiB).
Result<CallSites> find_call_sites(const elf::GoBinary& binary, std::span<const std::uint64_t> targets);

}  // namespace mapwatch::arch
