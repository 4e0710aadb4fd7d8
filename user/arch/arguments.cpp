#include "arch/arguments.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace mapwatch::arch {
namespace {

using Kind = KnownWord::Kind;

// The largest map function has 8 KB of code, at -N -l; their callers are anybody's.
constexpr std::size_t kMaxCode = std::size_t{64} << 10;
constexpr std::size_t kRegisters = 16;
constexpr std::array<Register, kArguments> kArgumentRegisters = {kRax, kRbx, kRcx};
constexpr std::int64_t kUnknownSp = 1;  // RSP is always below the canonical frame address

/// What is known before an instruction runs, whatever way led to it.
struct State {
  std::array<KnownWord, kRegisters> holds = {};
  std::uint8_t slots = 0;  ///< bits of the spill slots that hold their argument
  bool reached = false;
};

std::uint8_t slot_bit(std::size_t argument) { return static_cast<std::uint8_t>(1U << argument); }

bool calls(const Instruction& insn) { return insn.kind == InstructionClass::kCall || insn.mnemonic == "call"; }

bool jumps(const Instruction& insn) {
  return insn.kind == InstructionClass::kJcc8 || insn.kind == InstructionClass::kJcc32 ||
         insn.kind == InstructionClass::kJmp;
}

/// Goes elsewhere than to the next instruction or a direct target.
bool jumps_oddly(const Instruction& insn) {
  return !jumps(insn) && (insn.mnemonic.starts_with('j') || insn.mnemonic.starts_with("loop"));
}

bool goes_on(const Instruction& insn) {
  return insn.kind != InstructionClass::kJmp && insn.mnemonic != "ret" && insn.mnemonic != "ud2" &&
         insn.mnemonic != "int3" && insn.mnemonic != "hlt";
}

class Flow {
 public:
  Flow(Bytes code, std::uint64_t address, const StackDistance& distance)
      : code_(code), address_(address), distance_(distance) {}

  std::optional<ArgumentFacts> run(std::uint64_t pc, bool returned) {
    if (code_.size() > kMaxCode || !decode_all()) {
      return std::nullopt;
    }
    // A slot whose address is taken may be written by whoever got it: it is given up, from the start.
    std::uint8_t given_up = 0;
    do {
      given_up = escaped_;
      follow();
    } while (understood_ && escaped_ != given_up);
    if (!understood_) {
      return std::nullopt;
    }
    const auto at = std::ranges::find_if(
        instructions_, [&](const Instruction& insn) { return insn.address + (returned ? insn.length : 0) == pc; });
    const auto i = static_cast<std::size_t>(at - instructions_.begin());
    if (at == instructions_.end() || !states_[i].reached || (returned && !calls(*at))) {
      return std::nullopt;
    }
    return facts(i, returned);
  }

 private:
  bool decode_all() {
    for (std::uint64_t at = 0; at < code_.size();) {
      const auto insn = decode(code_.from(at).value_or(Bytes()), address_ + at);
      if (!insn || jumps_oddly(*insn)) {
        return false;
      }
      index_.emplace(insn->address, instructions_.size());
      const auto distance = distance_(insn->address);
      sp_.push_back(distance ? -8 - std::int64_t{*distance} : kUnknownSp);
      instructions_.push_back(*insn);
      at += insn->length;
    }
    return !instructions_.empty();
  }

  void follow() {
    State entry;
    entry.reached = true;
    for (std::size_t n = 0; n < kArguments; ++n) {
      entry.holds[kArgumentRegisters[n]] = {Kind::kArgument, static_cast<std::int64_t>(n)};
    }
    states_.assign(instructions_.size(), {});
    work_.clear();
    merge(0, entry);
    while (!work_.empty() && understood_) {
      const std::size_t i = work_.back();
      work_.pop_back();
      step(i);
    }
  }

  void merge(std::size_t i, const State& from) {
    State& into = states_[i];
    if (!into.reached) {
      into = from;
      work_.push_back(i);
      return;
    }
    bool changed = false;
    for (std::size_t r = 0; r < kRegisters; ++r) {
      if (into.holds[r].kind != Kind::kNothing && into.holds[r] != from.holds[r]) {
        into.holds[r] = {};
        changed = true;
      }
    }
    if ((into.slots & ~from.slots) != 0) {
      into.slots &= from.slots;
      changed = true;
    }
    if (changed) {
      work_.push_back(i);
    }
  }

  void step(std::size_t i) {
    const Instruction& insn = instructions_[i];
    const State next = after(i);
    const std::int64_t sp = sp_after(i);
    const auto go = [&](std::size_t to) {
      if (sp != kUnknownSp && sp_[to] == sp) {
        merge(to, next);
      }
    };
    if (jumps(insn)) {
      const std::uint64_t target = insn.target.value_or(0);
      if (const auto found = index_.find(target); found != index_.end()) {
        go(found->second);
      } else if (target >= address_ && target - address_ < code_.size()) {
        understood_ = false;  // into the middle of an instruction
      }
    }
    if (goes_on(insn) && i + 1 < instructions_.size()) {
      go(i + 1);
    }
  }

  /// RSP - canonical frame address after the instruction, as it says itself.
  std::int64_t sp_after(std::size_t i) const {
    const Instruction& insn = instructions_[i];
    if ((insn.written & bit(kRsp)) == 0 || calls(insn)) {
      return sp_[i];
    }
    if (insn.kind == InstructionClass::kPush) {
      return sp_[i] - 8;
    }
    if (insn.mnemonic == "pop") {
      return sp_[i] + 8;
    }
    if ((insn.mnemonic == "sub" || insn.mnemonic == "add") && insn.first == kRsp && insn.immediate) {
      return sp_[i] + (insn.mnemonic == "add" ? *insn.immediate : -*insn.immediate);
    }
    return kUnknownSp;
  }

  State after(std::size_t i) {
    const Instruction& insn = instructions_[i];
    State state = states_[i];
    if (calls(insn)) {  // every register is the caller's to save (abi-internal.md)
      state.holds = {};
      return state;
    }
    // The word of the stack that the memory operand is.
    const bool on_stack = insn.memory && insn.memory->base == kRsp;
    const std::int64_t at = on_stack ? sp_[i] + insn.memory->displacement : 0;
    const bool is_slot = on_stack && at >= 0 && at < static_cast<std::int64_t>(8 * kArguments) && at % 8 == 0;
    const auto slot = is_slot ? static_cast<std::size_t>(at / 8) : 0;
    const bool whole = insn.mnemonic == "mov" && insn.memory_bytes == 8;

    KnownWord moved;  // what the first operand holds afterwards
    if (insn.mnemonic == "lea" && on_stack) {
      for (std::size_t n = 0; n < kArguments; ++n) {  // a struct's address is that of all words behind it
        escaped_ |= at >= 0 && at <= static_cast<std::int64_t>(8 * n) ? slot_bit(n) : 0;
      }
      moved = {Kind::kStackAddress, at};
    } else if (insn.mnemonic == "mov" && insn.second && !insn.writes_memory) {
      moved = state.holds[*insn.second];
    } else if (whole && on_stack && !insn.writes_memory) {
      const bool argument = is_slot && (state.slots & slot_bit(slot)) != 0;
      moved = argument ? KnownWord{Kind::kArgument, static_cast<std::int64_t>(slot)} : KnownWord{Kind::kStackWord, at};
    }
    if (insn.writes_memory) {
      write_memory(state, insn,
                   insn.kind == InstructionClass::kPush ? std::optional(sp_[i] - 8)
                   : on_stack                           ? std::optional(at)
                                                        : std::nullopt);
      const KnownWord own{Kind::kArgument, static_cast<std::int64_t>(slot)};
      if (whole && is_slot && insn.second && state.holds[*insn.second] == own && (escaped_ & slot_bit(slot)) == 0) {
        state.slots |= slot_bit(slot);
      }
    }
    for (std::size_t r = 0; r < kRegisters; ++r) {
      if ((insn.written >> r & 1) != 0) {
        state.holds[r] = {};
      }
    }
    if (moved.kind != Kind::kNothing && insn.first && !insn.writes_memory) {
      state.holds[*insn.first] = moved;
    }
    return state;
  }

  /// Forgets what a write changes, or may change. `at`: distance of the place, when it is known.
  static void write_memory(State& state, const Instruction& insn, std::optional<std::int64_t> at) {
    const std::int64_t bytes = insn.kind == InstructionClass::kPush ? 8 : insn.memory_bytes;
    const bool by_stack_register = (insn.memory_registers & (bit(kRsp) | bit(kRbp))) != 0;
    const bool anywhere = (!at && by_stack_register) || (at && bytes == 0);
    for (std::size_t n = 0; n < kArguments; ++n) {
      const auto slot = static_cast<std::int64_t>(8 * n);
      if (anywhere || (at && *at < slot + 8 && slot < *at + bytes)) {
        state.slots &= static_cast<std::uint8_t>(~slot_bit(n));
      }
    }
    for (KnownWord& word : state.holds) {
      // Through a pointer a write may reach a variable on the stack.
      const bool hit = anywhere || !at || (*at < word.at + 8 && word.at < *at + bytes);
      if (word.kind == Kind::kStackWord && hit) {
        word = {};
      }
    }
  }

  ArgumentFacts facts(std::size_t i, bool returned) {
    ArgumentFacts found;
    if (returned) {
      for (std::size_t n = 0; n < kArguments; ++n) {
        found.passed[n] = states_[i].holds[kArgumentRegisters[n]];
      }
    }
    const State state = returned ? after(i) : states_[i];
    for (std::size_t r = 0; r < kRegisters; ++r) {
      if (state.holds[r].kind == Kind::kArgument) {
        found.registers[static_cast<std::size_t>(state.holds[r].at)] |= 1U << r;
      }
    }
    for (std::size_t n = 0; n < kArguments; ++n) {
      found.slot[n] = (state.slots & slot_bit(n)) != 0;
    }
    return found;
  }

  Bytes code_;
  std::uint64_t address_;
  const StackDistance& distance_;
  std::vector<Instruction> instructions_;
  std::vector<std::int64_t> sp_;  ///< RSP - canonical frame address before each of them
  std::unordered_map<std::uint64_t, std::size_t> index_;
  std::vector<State> states_;
  std::vector<std::size_t> work_;
  std::uint8_t escaped_ = 0;
  bool understood_ = true;
};

}  // namespace

std::optional<ArgumentFacts> argument_facts(Bytes code, std::uint64_t address, const StackDistance& distance,
                                            std::uint64_t pc, bool returned) {
  return Flow(code, address, distance).run(pc, returned);
}

}  // namespace mapwatch::arch
