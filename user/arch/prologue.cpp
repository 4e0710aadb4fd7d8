#include "arch/prologue.h"

#include <optional>

#include <fmt/format.h>

namespace mapwatch::arch {
namespace {

// runtime.g: stack.lo 0, stack.hi 8, stackguard0 0x10, stackguard1 0x18 (for //go:systemstack functions); Go 1.17-1.27.
constexpr std::int64_t kStackGuard0 = 0x10;
constexpr std::int64_t kStackGuard1 = 0x18;

/// Decodes one instruction after another; stays on the same one until it is taken.
class Cursor {
 public:
  Cursor(Bytes code, std::uint64_t address) : code_(code), start_(address) { load(); }

  const std::optional<Instruction>& peek() const { return current_; }
  Instruction take() {
    const Instruction taken = *current_;
    at_ += taken.length;
    load();
    return taken;
  }
  std::string describe() const {
    if (!current_) {
      return fmt::format("no instruction at +{:#x}", at_);
    }
    return fmt::format("{} at +{:#x}", current_->mnemonic, at_);
  }
  bool inside(std::uint64_t address) const { return address > start_ && address - start_ < code_.size(); }

 private:
  void load() {
    const auto rest = code_.from(at_);
    current_ = rest ? decode(*rest, start_ + at_) : std::nullopt;
  }

  Bytes code_;
  std::uint64_t start_;
  std::uint64_t at_ = 0;
  std::optional<Instruction> current_;
};

bool is_push_rbp(const Instruction& insn) { return insn.kind == InstructionClass::kPush && insn.first == kRbp; }

bool is_lea_r12_rsp(const Instruction& insn) {
  return insn.mnemonic == "lea" && insn.first == kR12 && insn.memory && insn.memory->base == kRsp &&
         insn.memory->displacement < 0 && insn.written == bit(kR12);
}

bool is_mov_r12_rsp(const Instruction& insn) {
  return insn.mnemonic == "mov" && insn.first == kR12 && insn.second == kRsp && insn.written == bit(kR12);
}

bool is_sub_r12(const Instruction& insn) {
  return insn.mnemonic == "sub" && insn.first == kR12 && !insn.second && !insn.memory && insn.written == bit(kR12);
}

bool is_guard_cmp(const Instruction& insn, Register stack) {
  return insn.mnemonic == "cmp" && insn.first == stack && insn.memory && insn.memory->base == kR14 &&
         (insn.memory->displacement == kStackGuard0 || insn.memory->displacement == kStackGuard1);
}

bool is_jump_to_grow(const Instruction& insn, std::string_view mnemonic, const Cursor& cursor) {
  return (insn.kind == InstructionClass::kJcc8 || insn.kind == InstructionClass::kJcc32) && insn.mnemonic == mnemonic &&
         insn.target && *insn.target > insn.address && cursor.inside(*insn.target);
}

}  // namespace

tl::expected<PrologueSite, std::string> find_prologue_site(Bytes code, std::uint64_t address) {
  Cursor cursor(code, address);
  const auto refuse = [&cursor](const char* expected) {
    return tl::unexpected(fmt::format("no prologue of a Go function: {} instead of {}", cursor.describe(), expected));
  };
  const auto next_is = [&cursor](auto test) { return cursor.peek() && test(*cursor.peek()); };

  if (next_is(is_push_rbp)) {
    return PrologueSite{SiteKind::kPush, cursor.take()};
  }
  Register compared = kRsp;
  if (next_is(is_lea_r12_rsp)) {
    cursor.take();
    compared = kR12;
  } else if (next_is(is_mov_r12_rsp)) {
    // A frame so big that RSP - N may wrap around: that is what the jb is for, before the check proper.
    cursor.take();
    compared = kR12;
    if (!next_is(is_sub_r12)) {
      return refuse("sub from r12");
    }
    cursor.take();
    if (!next_is([&](const Instruction& insn) { return is_jump_to_grow(insn, "jb", cursor); })) {
      return refuse("jb to where the stack grows");
    }
    cursor.take();
  }
  if (!next_is([&](const Instruction& insn) { return is_guard_cmp(insn, compared); })) {
    return refuse("the comparison with the stack guard");
  }
  cursor.take();
  if (!next_is([&](const Instruction& insn) { return is_jump_to_grow(insn, "jbe", cursor); })) {
    return refuse("jbe to where the stack grows");
  }
  const Instruction check = cursor.take();
  if (next_is(is_push_rbp)) {
    return PrologueSite{SiteKind::kPush, cursor.take()};
  }
  return PrologueSite{SiteKind::kStackCheck, check};
}

}  // namespace mapwatch::arch
