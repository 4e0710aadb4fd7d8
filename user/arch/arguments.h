// What the register arguments of a Go function are while it runs, proven by following its code: which registers still
// hold them, which spill slots were written on every way to an instruction, and what a caller put into the registers. A
// spill slot by itself proves nothing: a function that did not write it this time leaves what an earlier call left.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "arch/instruction.h"
#include "base/bytes.h"

namespace mapwatch::arch {

/// RAX, RBX and RCX: the first three words of arguments (cmd/compile/abi-internal.md, "Architecture specifics").
constexpr std::size_t kArguments = 3;

/// A word, in terms of the function that handles it. Distances are from its canonical frame address: its stack pointer
/// before the return address was pushed.
struct KnownWord {
  enum class Kind : std::uint8_t {
    kNothing,
    kArgument,      ///< argument number `at`
    kStackAddress,  ///< the address at distance `at`
    kStackWord,     ///< what lies at distance `at`
  };
  Kind kind = Kind::kNothing;
  std::int64_t at = 0;

  friend bool operator==(const KnownWord&, const KnownWord&) = default;
};

struct ArgumentFacts {
  /// Bits of the general registers that hold argument n.
  std::array<std::uint32_t, kArguments> registers = {};
  /// Its spill slot, at distance 8 * n, holds it (abi-internal.md, spill space).
  std::array<bool, kArguments> slot = {};
  /// What the call is given as its arguments; of a frame that stands in a call.
  std::array<KnownWord, kArguments> passed = {};
};

/// How far RSP is below the return address at an instruction, as pclntab tells (GoBinary::unwind_row).
using StackDistance = std::function<std::optional<std::uint32_t>(std::uint64_t address)>;

/// Of the function whose whole `code` lies at `address`. `pc`: the instruction that is about to run, or, when
/// `returned`, the return address of a call of this function's. A way on which RSP would not be as `distance` has it is
/// none: what follows a call that never returns. nullopt when the code is not understood: bytes that are no
/// instruction, a jump through a register, a `pc` between instructions, or code that no way leads to.
std::optional<ArgumentFacts> argument_facts(Bytes code, std::uint64_t address, const StackDistance& distance,
                                            std::uint64_t pc, bool returned);

}  // namespace mapwatch::arch
