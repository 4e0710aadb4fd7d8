#include "arch/instruction_length.h"

#include <array>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "arch/hex.h"
#include "arch/instruction.h"

namespace mapwatch::arch {
namespace {

using test::Code;

constexpr std::size_t kRoom = 15;

/// Every way to begin an instruction that the opcode maps are asked about: 66, REX or both, or nothing.
std::vector<std::vector<std::uint8_t>> prefixes() {
  std::vector<std::vector<std::uint8_t>> out = {{}, {0x66}};
  for (unsigned rex = 0x40; rex < 0x50; ++rex) {
    out.push_back({static_cast<std::uint8_t>(rex)});
    out.push_back({0x66, static_cast<std::uint8_t>(rex)});
  }
  return out;
}

// Whatever the opcode maps tell, Zydis tells too: all opcodes of one and two bytes, with each ModRM byte and the SIB
// bytes that differ in length.
TEST(InstructionLength, TheOpcodeMapsTellWhatZydisTells) {
  std::size_t told = 0;
  std::size_t wrong = 0;
  for (const auto& prefix : prefixes()) {
    for (unsigned opcode = 0; opcode < 512; ++opcode) {
      for (unsigned modrm = 0; modrm < 256; ++modrm) {
        for (const std::uint8_t sib : {0x24, 0x2d}) {
          std::array<std::uint8_t, kRoom> code;
          code.fill(0x11);
          auto at = std::copy(prefix.begin(), prefix.end(), code.begin());
          if (opcode >= 256) {
            *at++ = 0x0f;
          }
          *at++ = static_cast<std::uint8_t>(opcode);
          *at++ = static_cast<std::uint8_t>(modrm);
          *at = sib;
          const Bytes bytes(code.data(), code.size());
          const unsigned length = common_instruction_length(bytes);
          told += length != 0 ? 1 : 0;
          wrong += length != 0 && length != zydis_length(bytes) ? 1 : 0;
        }
      }
    }
  }
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(told, 2'000'000U);
}

TEST(InstructionLength, OfWhatGoConsistsOf) {
  const auto common = [](const char* hex) { return common_instruction_length(Code(hex).pad(kRoom).bytes()); };
  EXPECT_EQ(common("493b6610"), 4U);               // cmp 0x10(%r14),%rsp
  EXPECT_EQ(common("0f86e0000000"), 6U);           // jbe
  EXPECT_EQ(common("55"), 1U);                     // push %rbp
  EXPECT_EQ(common("e812345678"), 5U);             // call
  EXPECT_EQ(common("488d05aabbccdd"), 7U);         // lea (%rip)
  EXPECT_EQ(common("49bb1122334455667788"), 10U);  // movabs
  EXPECT_EQ(common("66c74424081234"), 7U);         // movw $imm16
  EXPECT_EQ(common("48c744240811223344"), 9U);     // movq $imm32
  EXPECT_EQ(common("0f1f440000"), 5U);             // nop
  EXPECT_EQ(common("f6c101"), 3U);                 // test $imm8,%cl
  EXPECT_EQ(common("f7d8"), 2U);                   // neg: no immediate
  EXPECT_EQ(common("440f117c2410"), 6U);           // movups
}

TEST(InstructionLength, ZydisIsAskedForTheRest) {
  for (const char* hex :
       {"f30f6f06", "f00fb111", "64488b0c25f8ffffff", "c5fd6f06", "660f6ec0", "66e812345678", "0f05"}) {
    const Code code = Code(hex).pad(kRoom);
    EXPECT_EQ(common_instruction_length(code.bytes()), 0U) << hex;
    EXPECT_EQ(instruction_length(code.bytes()), zydis_length(code.bytes())) << hex;
    EXPECT_NE(instruction_length(code.bytes()), 0U) << hex;
  }
}

TEST(InstructionLength, CutOffOrNoInstruction) {
  const Code code("48c744240811223344");
  EXPECT_EQ(instruction_length(code.bytes()), 9U);
  for (std::size_t size = 0; size < code.size(); ++size) {
    EXPECT_EQ(instruction_length(*code.bytes().sub(0, size)), 0U) << size;
  }
  EXPECT_EQ(instruction_length(Code("06").pad(kRoom).bytes()), 0U);
  EXPECT_EQ(instruction_length(Bytes()), 0U);
}

}  // namespace
}  // namespace mapwatch::arch
