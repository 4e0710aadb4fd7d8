// One amd64 instruction, decoded (Zydis): what class it is of, what it writes, where it goes, and whether a uprobe on
// it is cheap.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace mapwatch::arch {

enum class InstructionClass {
  kPush,   ///< push of a 64-bit register
  kJcc8,   ///< conditional jump, 8-bit displacement
  kJcc32,  ///< conditional jump, 32-bit displacement
  kJmp,    ///< jmp rel8 or rel32
  kCall,   ///< call rel32
  kNop,    ///< nop of any length
  kOther,
};

/// General registers as the instruction set numbers them.
enum Register : int {
  kRax = 0,
  kRcx,
  kRdx,
  kRbx,
  kRsp,
  kRbp,
  kRsi,
  kRdi,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15
};

constexpr std::uint32_t bit(Register r) { return 1U << r; }

/// base + displacement, without an index and with the default segment.
struct BasedMemory {
  Register base = kRax;
  std::int64_t displacement = 0;
};

struct Instruction {
  std::uint64_t address = 0;
  unsigned length = 0;
  InstructionClass kind = InstructionClass::kOther;
  std::string_view mnemonic;  ///< lower case, static storage: "push", "jbe", ...
  /// A uprobe here is emulated, not single-stepped (arch/x86/kernel/uprobes.c, push_setup_xol_ops and
  /// branch_setup_xol_ops, Linux 6.1-6.18): push r64 without prefix but REX.B; jcc, jmp and call rel32 without
  /// prefixes; 90 and 66 90. Longer nops are emulated by new kernels only and count as not emulated.
  bool emulated = false;
  std::uint32_t written = 0;            ///< bits of the general registers written, whole or in part, RSP of a push too
  bool writes_memory = false;           ///< the stack slot of a push or call too
  std::optional<std::uint64_t> target;  ///< of a direct jump or call
  std::optional<Register> first;        ///< the first operand where it is a 64-bit general register
  std::optional<Register> second;       ///< the second one, likewise
  std::optional<BasedMemory> memory;    ///< the memory operand, where it is of that form
  std::optional<std::uint64_t> refers;  ///< where a RIP-relative memory operand lies
  std::uint32_t memory_registers = 0;   ///< bits of the general registers in the memory operand's address
  std::uint32_t memory_bytes = 0;       ///< how many bytes of it are touched
  std::optional<std::int64_t> immediate;
};

constexpr std::size_t kMaxInstruction = 15;  // Intel SDM vol. 2, section 2.3.11

/// The bytes of one instruction, kept without an allocation.
class InstructionBytes {
 public:
  InstructionBytes() = default;
  InstructionBytes(std::initializer_list<std::uint8_t> bytes) {
    for (const std::uint8_t byte : bytes) {
      append(byte);
    }
  }
  explicit InstructionBytes(Bytes bytes) {
    for (const std::byte byte : bytes.span()) {
      append(std::to_integer<std::uint8_t>(byte));
    }
  }
  std::span<const std::uint8_t> span() const { return {data_.data(), size_}; }
  std::size_t size() const { return size_; }
  bool operator==(const InstructionBytes&) const = default;

 private:
  void append(std::uint8_t byte) {
    if (size_ < data_.size()) {
      data_[size_++] = byte;
    }
  }
  std::array<std::uint8_t, kMaxInstruction> data_ = {};
  std::uint8_t size_ = 0;
};

/// The instruction at the start of `code`, which lies at `address`; nullopt when the bytes are none or are cut off.
std::optional<Instruction> decode(Bytes code, std::uint64_t address);

/// Its length alone, 0 when there is none: a third of decode()'s time, which is still 140 ns. See instruction_length.h.
unsigned zydis_length(Bytes code);

/// "push", "jcc8", "jcc32", "jmp", "call", "nop", "other".
std::string_view to_string(InstructionClass kind);

/// Targets of the direct calls in `code`, and of the direct jumps that leave it, in order. `code` is decoded from its
/// start to its end; a byte that starts no instruction is stepped over (Go keeps no data in text, but nobody vouches
/// for this file).
std::vector<std::uint64_t> direct_targets(Bytes code, std::uint64_t address);

}  // namespace mapwatch::arch
