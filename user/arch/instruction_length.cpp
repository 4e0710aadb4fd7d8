#include "arch/instruction_length.h"

#include <array>

#include "arch/instruction.h"

namespace mapwatch::arch {
namespace {

/// What follows an opcode. kAsk: not told here.
enum Form : std::uint8_t {
  kAsk,
  kPlain,      ///< nothing
  kImm8,       ///< one byte
  kImm32,      ///< four bytes; two with the prefix 66, unless they are a displacement
  kRel32,      ///< four bytes; with the prefix 66 processors differ
  kImm64,      ///< eight bytes with REX.W, else as kImm32
  kModrm,      ///< ModRM and what it brings
  kModrm8,     ///< and one byte
  kModrm32,    ///< and four bytes, or two
  kMemory,     ///< ModRM, memory only (lea)
  kMove8,      ///< kModrm8, group member 0 only (C6)
  kMove32,     ///< kModrm32, group member 0 only (C7)
  kShift,      ///< kModrm without group member 6 (D1, D3)
  kShift8,     ///< kModrm8 without it (C0, C1)
  kUnary8,     ///< F6: members 0 and 1 have an immediate byte
  kUnary32,    ///< F7: the same with four bytes
  kIncrement,  ///< FE: members 0 and 1
  kIndirect,   ///< FF: members 0, 1, 2, 4 and 6; the others are far or none
};

constexpr std::array<Form, 256> make_one_byte() {
  std::array<Form, 256> map = {};
  for (unsigned row = 0; row < 0x40; row += 8) {  // add, or, adc, sbb, and, sub, xor, cmp
    map[row] = map[row + 1] = map[row + 2] = map[row + 3] = kModrm;
    map[row + 4] = kImm8;
    map[row + 5] = kImm32;
  }
  for (unsigned op = 0x50; op < 0x60; ++op) {
    map[op] = kPlain;  // push, pop
  }
  map[0x63] = kModrm;  // movsxd
  map[0x68] = kImm32;
  map[0x69] = kModrm32;
  map[0x6a] = kImm8;
  map[0x6b] = kModrm8;
  for (unsigned op = 0x70; op < 0x80; ++op) {
    map[op] = kImm8;  // jcc
  }
  map[0x80] = map[0x83] = kModrm8;
  map[0x81] = kModrm32;
  for (unsigned op = 0x84; op <= 0x8b; ++op) {
    map[op] = kModrm;  // test, xchg, mov
  }
  map[0x8d] = kMemory;
  for (unsigned op = 0x90; op < 0x9a; ++op) {
    map[op] = kPlain;  // nop, xchg, cwde, cdq
  }
  map[0xa8] = kImm8;
  map[0xa9] = kImm32;
  for (unsigned op = 0xb0; op < 0xb8; ++op) {
    map[op] = kImm8;
    map[op + 8] = kImm64;
  }
  map[0xc0] = map[0xc1] = kShift8;
  map[0xc3] = kPlain;
  map[0xc6] = kMove8;
  map[0xc7] = kMove32;
  map[0xcc] = kPlain;
  map[0xd0] = map[0xd1] = map[0xd2] = map[0xd3] = kShift;
  map[0xe8] = map[0xe9] = kRel32;
  map[0xeb] = kImm8;
  map[0xf6] = kUnary8;
  map[0xf7] = kUnary32;
  map[0xfe] = kIncrement;
  map[0xff] = kIndirect;
  return map;
}

/// After 0F.
constexpr std::array<Form, 256> make_two_byte() {
  std::array<Form, 256> map = {};
  for (const unsigned op : {0x10, 0x11, 0x28, 0x29, 0x2e, 0x54, 0x57, 0x1f, 0xa3, 0xab, 0xaf, 0xb3, 0xbb}) {
    map[op] = kModrm;
  }
  for (unsigned op = 0x40; op < 0x50; ++op) {
    map[op] = kModrm;         // cmov
    map[op + 0x40] = kRel32;  // jcc
    map[op + 0x50] = kModrm;  // setcc
  }
  map[0xb6] = map[0xb7] = map[0xbe] = map[0xbf] = kModrm;
  map[0xbc] = map[0xbd] = kModrm;
  for (unsigned op = 0xc8; op < 0xd0; ++op) {
    map[op] = kPlain;  // bswap
  }
  return map;
}

constexpr std::array<Form, 256> kOneByte = make_one_byte();
constexpr std::array<Form, 256> kTwoByte = make_two_byte();

/// ModRM, SIB and displacement, by the ModRM byte (SDM vol. 2, tables 2-2 and 2-3). A SIB whose base is 5 with mod 0
/// brings four bytes more.
constexpr std::array<std::uint8_t, 256> make_modrm() {
  std::array<std::uint8_t, 256> lengths = {};
  for (unsigned modrm = 0; modrm < 256; ++modrm) {
    const unsigned mod = modrm >> 6;
    const unsigned rm = modrm & 7;
    unsigned length = 1;
    if (mod != 3) {
      length += rm == 4 ? 1 : 0;
      length += mod == 1 ? 1 : mod == 2 || rm == 5 ? 4 : 0;
    }
    lengths[modrm] = static_cast<std::uint8_t>(length);
  }
  return lengths;
}

constexpr std::array<std::uint8_t, 256> kModrmLength = make_modrm();

unsigned modrm_length(const std::uint8_t* at) {
  const unsigned modrm = at[0];
  const bool wide_sib = (modrm & 0xc7) == 0x04 && (at[1] & 7) == 5;
  return kModrmLength[modrm] + (wide_sib ? 4 : 0);
}

}  // namespace

unsigned common_instruction_length(Bytes bytes) {
  if (bytes.size() < kMaxInstruction) {
    return 0;  // so that no read below needs a check
  }
  const auto* const code = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const std::uint8_t* at = code;
  const bool short_operand = *at == 0x66;
  at += short_operand ? 1 : 0;
  const unsigned rex = (*at & 0xf0) == 0x40 ? *at++ : 0;
  const unsigned imm32 = short_operand && (rex & 8) == 0 ? 2 : 4;
  Form form = kOneByte[*at];
  if (*at++ == 0x0f) {
    form = kTwoByte[*at];
    // With the prefix some of them are other instructions.
    if (short_operand && *at != 0x1f && (*at < 0x40 || *at >= 0x50)) {
      return 0;
    }
    ++at;
  }
  const auto head = static_cast<unsigned>(at - code);
  const unsigned member = (*at >> 3) & 7;
  switch (form) {
    case kAsk:
      return 0;
    case kPlain:
      return head;
    case kImm8:
      return short_operand ? 0 : head + 1;
    case kImm32:
      return head + imm32;
    case kRel32:
      return short_operand ? 0 : head + 4;
    case kImm64:
      return head + ((rex & 8) != 0 ? 8 : imm32);
    case kModrm:
      return head + modrm_length(at);
    case kModrm8:
      return head + modrm_length(at) + 1;
    case kModrm32:
      return head + modrm_length(at) + imm32;
    case kMemory:
      return *at >= 0xc0 ? 0 : head + modrm_length(at);
    case kMove8:
      return member != 0 ? 0 : head + modrm_length(at) + 1;
    case kMove32:
      return member != 0 ? 0 : head + modrm_length(at) + imm32;
    case kShift:
      return member == 6 ? 0 : head + modrm_length(at);
    case kShift8:
      return member == 6 ? 0 : head + modrm_length(at) + 1;
    case kUnary8:
      return member == 1 ? 0 : head + modrm_length(at) + (member == 0 ? 1 : 0);
    case kUnary32:
      return member == 1 ? 0 : head + modrm_length(at) + (member == 0 ? imm32 : 0);
    case kIncrement:
      return member > 1 ? 0 : head + modrm_length(at);
    case kIndirect:
      return member == 3 || member == 5 || member == 7 || short_operand ? 0 : head + modrm_length(at);
  }
  return 0;
}

unsigned instruction_length(Bytes code) {
  const unsigned length = common_instruction_length(code);
  return length != 0 ? length : zydis_length(code);
}

}  // namespace mapwatch::arch
