#include "arch/instruction.h"

#include <Zydis/Zydis.h>

namespace mapwatch::arch {
namespace {

const ZydisDecoder& decoder() {
  static const ZydisDecoder instance = [] {
    ZydisDecoder made;
    ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return made;
  }();
  return instance;
}

std::optional<Register> general(ZydisRegister reg) {
  const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
  if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64) {
    return std::nullopt;
  }
  return static_cast<Register>(ZydisRegisterGetId(whole));
}

bool is_jcc(const ZydisDecodedInstruction& insn) {
  return insn.meta.category == ZYDIS_CATEGORY_COND_BR && insn.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
         ((insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && insn.opcode >= 0x70 && insn.opcode <= 0x7f) ||
          (insn.opcode_map == ZYDIS_OPCODE_MAP_0F && insn.opcode >= 0x80 && insn.opcode <= 0x8f));
}

InstructionClass classify(const ZydisDecodedInstruction& insn) {
  const bool one_byte = insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
  if (one_byte && insn.opcode >= 0x50 && insn.opcode <= 0x57) {
    return insn.operand_width == 64 ? InstructionClass::kPush : InstructionClass::kOther;
  }
  if (is_jcc(insn)) {
    return one_byte ? InstructionClass::kJcc8 : InstructionClass::kJcc32;
  }
  if (one_byte && (insn.opcode == 0xeb || insn.opcode == 0xe9)) {
    return InstructionClass::kJmp;
  }
  if (one_byte && insn.opcode == 0xe8) {
    return InstructionClass::kCall;
  }
  return insn.mnemonic == ZYDIS_MNEMONIC_NOP ? InstructionClass::kNop : InstructionClass::kOther;
}

/// Strict: exactly the encodings without prefixes that every kernel since 6.1 emulates. The kernel takes a few more.
bool is_emulated(InstructionClass kind, const ZydisDecodedInstruction& insn, Bytes code) {
  const unsigned first = code.read<std::uint8_t>(0).value_or(0);
  switch (kind) {
    case InstructionClass::kPush:
      return insn.length == 1 || (insn.length == 2 && first == 0x41);
    case InstructionClass::kJcc8:
      return insn.length == 2;
    case InstructionClass::kJcc32:
      return insn.length == 6;
    case InstructionClass::kJmp:
      return insn.length == (insn.opcode == 0xeb ? 2 : 5);
    case InstructionClass::kCall:
      return insn.length == 5;
    case InstructionClass::kNop:
      return insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && insn.opcode == 0x90 &&
             (insn.length == 1 || (insn.length == 2 && first == 0x66));
    case InstructionClass::kOther:
      break;
  }
  return false;
}

void take_memory(Instruction& out, const ZydisDecodedOperand& operand) {
  const ZydisDecodedOperandMem& memory = operand.mem;
  const bool default_segment = memory.segment == ZYDIS_REGISTER_DS || memory.segment == ZYDIS_REGISTER_SS;
  const auto base = general(memory.base);
  const auto index = general(memory.index);
  out.memory_registers |= (base ? bit(*base) : 0) | (index ? bit(*index) : 0);
  out.memory_bytes = operand.size / 8U;
  if (base && memory.index == ZYDIS_REGISTER_NONE && default_segment &&
      ZydisRegisterGetClass(memory.base) == ZYDIS_REGCLASS_GPR64) {
    out.memory = BasedMemory{*base, memory.disp.has_displacement != 0 ? memory.disp.value : 0};
  }
}

void take_operands(Instruction& out, const ZydisDecodedInstruction& insn, const ZydisDecodedOperand* operands) {
  for (unsigned i = 0; i < insn.operand_count; ++i) {
    const ZydisDecodedOperand& operand = operands[i];
    const bool written = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
      const auto reg = general(operand.reg.value);
      if (reg && written) {
        out.written |= bit(*reg);
      }
      if (reg && i < 2 && i < insn.operand_count_visible && operand.size == 64) {
        (i == 0 ? out.first : out.second) = *reg;
      }
    } else if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
      const bool touches = operand.mem.type != ZYDIS_MEMOP_TYPE_AGEN;  // lea does not
      out.writes_memory = out.writes_memory || (written && touches);
      if (i < insn.operand_count_visible) {
        take_memory(out, operand);
      }
    } else if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand.imm.is_relative == 0) {
      out.immediate = operand.imm.is_signed != 0 ? operand.imm.value.s : static_cast<std::int64_t>(operand.imm.value.u);
    }
  }
}

bool is_direct(InstructionClass kind) {
  return kind == InstructionClass::kJcc8 || kind == InstructionClass::kJcc32 || kind == InstructionClass::kJmp ||
         kind == InstructionClass::kCall;
}

std::optional<std::uint64_t> direct_target(const ZydisDecodedInstruction& insn, std::uint64_t address) {
  if (insn.raw.imm[0].is_relative == 0) {
    return std::nullopt;
  }
  return address + insn.length + static_cast<std::uint64_t>(insn.raw.imm[0].value.s);
}

}  // namespace

std::optional<Instruction> decode(Bytes code, std::uint64_t address) {
  ZydisDecodedInstruction insn;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder(), code.data(), code.size(), &insn, operands))) {
    return std::nullopt;
  }
  Instruction out;
  out.address = address;
  out.length = insn.length;
  out.kind = classify(insn);
  const char* mnemonic = ZydisMnemonicGetString(insn.mnemonic);
  out.mnemonic = mnemonic == nullptr ? "?" : mnemonic;
  out.emulated = is_emulated(out.kind, insn, code);
  if (is_direct(out.kind)) {
    out.target = direct_target(insn, address);
  }
  take_operands(out, insn, operands);
  const bool rip_relative = (insn.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0 && insn.raw.modrm.mod == 0 &&
                            insn.raw.modrm.rm == 5 && insn.raw.disp.size == 32;
  if (rip_relative) {
    out.refers = address + insn.length + static_cast<std::uint64_t>(insn.raw.disp.value);
  }
  return out;
}

unsigned zydis_length(Bytes code) {
  ZydisDecodedInstruction insn;
  return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder(), nullptr, code.data(), code.size(), &insn)) ? insn.length
                                                                                                           : 0;
}

std::string_view to_string(InstructionClass kind) {
  switch (kind) {
    case InstructionClass::kPush:
      return "push";
    case InstructionClass::kJcc8:
      return "jcc8";
    case InstructionClass::kJcc32:
      return "jcc32";
    case InstructionClass::kJmp:
      return "jmp";
    case InstructionClass::kCall:
      return "call";
    case InstructionClass::kNop:
      return "nop";
    case InstructionClass::kOther:
      break;
  }
  return "other";
}

std::vector<std::uint64_t> direct_targets(Bytes code, std::uint64_t address) {
  std::vector<std::uint64_t> targets;
  std::uint64_t at = 0;
  while (at < code.size()) {
    ZydisDecodedInstruction insn;  // without operands: a third of the time
    const std::byte* bytes = code.data() + at;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder(), nullptr, bytes, code.size() - at, &insn))) {
      ++at;
      continue;
    }
    const InstructionClass kind = classify(insn);
    if (is_direct(kind)) {
      const auto target = direct_target(insn, address + at);
      const bool leaves = target && (*target < address || *target - address >= code.size());
      if (target && (kind == InstructionClass::kCall || leaves)) {
        targets.push_back(*target);
      }
    }
    at += insn.length;
  }
  return targets;
}

}  // namespace mapwatch::arch
