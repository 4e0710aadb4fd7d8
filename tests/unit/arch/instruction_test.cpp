#include "arch/instruction.h"

#include <random>

#include <gtest/gtest.h>

#include "arch/hex.h"

namespace mapwatch::arch {
namespace {

using test::Code;

struct Expected {
  const char* hex;
  InstructionClass kind;
  bool emulated;
};

// Emulated or not as arch/x86/kernel/uprobes.c of Linux 6.1 decides, and as measured on 6.18 for nops.
constexpr Expected kInstructions[] = {
    {"55", InstructionClass::kPush, true},                    // push rbp
    {"50", InstructionClass::kPush, true},                    // push rax
    {"4154", InstructionClass::kPush, true},                  // push r12
    {"4055", InstructionClass::kPush, false},                 // an empty REX: the kernel takes 41 only
    {"4955", InstructionClass::kPush, false},                 // REX.WB
    {"6655", InstructionClass::kOther, false},                // push bp
    {"6a01", InstructionClass::kOther, false},                // push 1
    {"ff30", InstructionClass::kOther, false},                // push [rax]
    {"5d", InstructionClass::kOther, false},                  // pop rbp
    {"7605", InstructionClass::kJcc8, true},                  // jbe
    {"0f8611223300", InstructionClass::kJcc32, true},         // jbe rel32
    {"2e7605", InstructionClass::kJcc8, false},               // branch hints: refused by the kernel
    {"3e7605", InstructionClass::kJcc8, false},               //
    {"2e0f8611223300", InstructionClass::kJcc32, false},      //
    {"667605", InstructionClass::kJcc8, false},               // operand size on a branch: refused
    {"e305", InstructionClass::kOther, false},                // jrcxz
    {"eb05", InstructionClass::kJmp, true},                   //
    {"e911223300", InstructionClass::kJmp, true},             //
    {"ffe0", InstructionClass::kOther, false},                // jmp rax
    {"e811223300", InstructionClass::kCall, true},            //
    {"f2e811223300", InstructionClass::kCall, false},         // bnd call
    {"ff15aabbcc00", InstructionClass::kOther, false},        // call [rip+x]
    {"ffd0", InstructionClass::kOther, false},                // call rax
    {"90", InstructionClass::kNop, true},                     //
    {"6690", InstructionClass::kNop, true},                   //
    {"f390", InstructionClass::kOther, false},                // pause
    {"4190", InstructionClass::kOther, false},                // xchg r8d, eax: no nop
    {"0f1f4000", InstructionClass::kNop, false},              // new kernels only
    {"660f1f840000000000", InstructionClass::kNop, false},    //
    {"662e0f1f840000000000", InstructionClass::kNop, false},  // attaches and never fires
    {"c3", InstructionClass::kOther, false},                  // ret
    {"493b6610", InstructionClass::kOther, false},            // cmp rsp, [r14+16]
    {"4889e5", InstructionClass::kOther, false},              // mov rbp, rsp
    {"f0480fb111", InstructionClass::kOther, false},          // lock cmpxchg
};

TEST(Decode, ClassesAndEmulation) {
  for (const Expected& expected : kInstructions) {
    const Code code(expected.hex);
    const auto insn = decode(code.bytes(), 0x401000);
    ASSERT_TRUE(insn) << expected.hex;
    EXPECT_EQ(insn->length, code.size()) << expected.hex;
    EXPECT_EQ(to_string(insn->kind), to_string(expected.kind)) << expected.hex;
    EXPECT_EQ(insn->emulated, expected.emulated) << expected.hex;
  }
}

TEST(Decode, RefusesTruncatedAndInvalidCode) {
  for (const Expected& expected : kInstructions) {
    const Code code(expected.hex);
    const auto cut = decode(*code.bytes().sub(0, code.size() - 1), 0);
    EXPECT_FALSE(cut && cut->length >= code.size()) << expected.hex;
  }
  EXPECT_FALSE(decode(Bytes(), 0));
  EXPECT_FALSE(decode(Code("06").bytes(), 0));  // push es: not in 64-bit mode
  EXPECT_FALSE(decode(Code("0f86112233").bytes(), 0));
}

TEST(Decode, Targets) {
  EXPECT_EQ(decode(Code("76fe").bytes(), 0x1000)->target, 0x1000U);
  EXPECT_EQ(decode(Code("0f8610000000").bytes(), 0x1000)->target, 0x1016U);
  EXPECT_EQ(decode(Code("e8fbffffff").bytes(), 0x1000)->target, 0x1000U);
  EXPECT_EQ(decode(Code("e900000000").bytes(), UINT64_MAX - 4)->target, 0U);  // wraps like the machine
  EXPECT_EQ(decode(Code("55").bytes(), 0x1000)->target, std::nullopt);
}

TEST(Decode, WhatIsWritten) {
  EXPECT_EQ(decode(Code("4c8d6424e8").bytes(), 0)->written, bit(kR12));  // lea r12, [rsp-24]
  EXPECT_FALSE(decode(Code("4c8d6424e8").bytes(), 0)->writes_memory);
  EXPECT_EQ(decode(Code("493b6610").bytes(), 0)->written, 0U);
  EXPECT_EQ(decode(Code("55").bytes(), 0)->written, bit(kRsp));
  EXPECT_TRUE(decode(Code("55").bytes(), 0)->writes_memory);
  EXPECT_EQ(decode(Code("b001").bytes(), 0)->written, bit(kRax));  // mov al, 1: a part counts
  EXPECT_EQ(decode(Code("b401").bytes(), 0)->written, bit(kRax));  // mov ah, 1
  EXPECT_EQ(decode(Code("4489e0").bytes(), 0)->written, bit(kRax));
  EXPECT_TRUE(decode(Code("48896c2418").bytes(), 0)->writes_memory);
  EXPECT_FALSE(decode(Code("488b6c2418").bytes(), 0)->writes_memory);
  EXPECT_EQ(decode(Code("0fa2").bytes(), 0)->written, bit(kRax) | bit(kRbx) | bit(kRcx) | bit(kRdx));  // cpuid
}

TEST(Decode, Operands) {
  const auto cmp = decode(Code("4d3b6610").bytes(), 0);  // cmp r12, [r14+16]
  EXPECT_EQ(cmp->mnemonic, "cmp");
  EXPECT_EQ(cmp->first, kR12);
  ASSERT_TRUE(cmp->memory);
  EXPECT_EQ(cmp->memory->base, kR14);
  EXPECT_EQ(cmp->memory->displacement, 16);
  EXPECT_EQ(decode(Code("4989e4").bytes(), 0)->second, kRsp);           // mov r12, rsp
  EXPECT_FALSE(decode(Code("4c8b64c424").bytes(), 0)->memory);          // an index
  EXPECT_FALSE(decode(Code("64488b0425f8ffffff").bytes(), 0)->memory);  // fs:
  EXPECT_FALSE(decode(Code("654c8b6610").bytes(), 0)->memory);          // gs:[rsi+16]
  EXPECT_FALSE(decode(Code("673b6610").bytes(), 0)->memory);            // 32-bit base
}

TEST(DirectTargets, CallsAndLeavingJumpsOnly) {
  Code code("e80b000000");      // call 0x1010: out
  code.append("eb02");          // jmp inside
  code.append("0f8600010000");  // jbe 0x110d: out
  code.append("ff15aabbcc00");  // indirect
  code.append("e9e8ffffff");    // jmp 0x1000: inside
  EXPECT_EQ(direct_targets(*code.bytes().sub(0, 16), 0x1000), (std::vector<std::uint64_t>{0x1010, 0x110d}));
  EXPECT_EQ(direct_targets(code.bytes(), 0x1000), (std::vector<std::uint64_t>{0x1010, 0x110d}));
  EXPECT_TRUE(direct_targets(Bytes(), 0).empty());
}

TEST(DirectTargets, StepsOverWhatIsNoCode) {
  EXPECT_EQ(direct_targets(Code("06 06 e80b000000").bytes(), 0x1000), (std::vector<std::uint64_t>{0x1012}));
}

TEST(Decode, AnyBytesAreSafe) {
  std::mt19937 random(1);  // NOLINT: the same bytes on every run
  for (int round = 0; round < 20000; ++round) {
    std::array<std::byte, 16> bytes;
    for (std::byte& byte : bytes) {
      byte = static_cast<std::byte>(random());
    }
    const Bytes code(std::span<const std::byte>(bytes).first(1 + random() % 16));
    if (const auto insn = decode(code, random())) {
      EXPECT_GE(insn->length, 1U);
      EXPECT_LE(insn->length, code.size());
    }
    EXPECT_LE(direct_targets(code, random()).size(), code.size());
  }
}

}  // namespace
}  // namespace mapwatch::arch
