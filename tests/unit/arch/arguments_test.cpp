#include "arch/arguments.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "arch/hex.h"

namespace mapwatch::arch {
namespace {

using test::Code;
using Kind = KnownWord::Kind;

constexpr std::uint64_t kBase = 0x401000;

/// A function made of instructions, each with the distance of RSP before it, as pclntab would have it.
class Function {
 public:
  /// Appends an instruction; its address.
  std::uint64_t at(std::uint32_t distance, const char* hex) {
    const std::uint64_t address = kBase + code_.size();
    code_.append(hex);
    distances_[address] = distance;
    return address;
  }
  std::uint64_t end() const { return kBase + code_.size(); }
  std::optional<ArgumentFacts> facts(std::uint64_t pc, bool returned) const {
    const StackDistance distance = [&](std::uint64_t address) -> std::optional<std::uint32_t> {
      const auto found = distances_.find(address);
      return found == distances_.end() ? std::nullopt : std::optional(found->second);
    };
    return argument_facts(code_.bytes(), kBase, distance, pc, returned);
  }

 private:
  Code code_{""};
  std::map<std::uint64_t, std::uint32_t> distances_;
};

constexpr char kCall[] = "e8 00000100";      // call somewhere else
constexpr char kStoreRbx[] = "48 895c2428";  // mov [rsp+0x28], rbx: at distance 0x18 that is word 1's slot
constexpr char kStoreRax[] = "48 89442420";  // mov [rsp+0x20], rax: word 0's
constexpr char kLoadRbx[] = "48 8b5c2428";   // mov rbx, [rsp+0x28]
constexpr std::uint32_t kDepth = 0x18;       // push rbp; sub rsp, 0x10

void prologue(Function& f) {
  f.at(0, "55");        // push rbp
  f.at(8, "4889e5");    // mov rbp, rsp
  f.at(8, "4883ec10");  // sub rsp, 0x10
}

TEST(Arguments, StandInTheirRegistersAtFirst) {
  Function f;
  const auto push = f.at(0, "55");
  f.at(8, "c3");
  const auto facts = f.facts(push, false);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->registers, (std::array{bit(kRax), bit(kRbx), bit(kRcx)}));
  EXPECT_EQ(facts->slot, (std::array{false, false, false}));
}

TEST(Arguments, AStoreBeforeACallProvesTheSlot) {
  Function f;
  prologue(f);
  f.at(kDepth, kStoreRbx);
  f.at(kDepth, kCall);
  const auto after = f.at(kDepth, "c3");
  const auto facts = f.facts(after, true);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->slot, (std::array{false, true, false}));
  EXPECT_EQ(facts->registers, (std::array{0U, 0U, 0U})) << "a call keeps no register";
  EXPECT_EQ(facts->passed[0], (KnownWord{Kind::kArgument, 0})) << "the callee is given what this function was";
}

TEST(Arguments, AStoreOnOneWayOnlyProvesNothing) {
  Function f;
  prologue(f);
  f.at(kDepth, "4885db");  // test rbx, rbx
  f.at(kDepth, "7405");    // je over the store
  f.at(kDepth, kStoreRbx);
  f.at(kDepth, kCall);
  const auto after = f.at(kDepth, "c3");
  EXPECT_FALSE(f.facts(after, true)->slot[1]);
}

TEST(Arguments, AnotherValueInTheSlotProvesNothing) {
  Function f;
  prologue(f);
  f.at(kDepth, kStoreRbx);
  f.at(kDepth, "4889cb");  // mov rbx, rcx
  f.at(kDepth, kStoreRbx);
  f.at(kDepth, kCall);
  EXPECT_FALSE(f.facts(f.end(), true)->slot[1]);
  Function g;
  prologue(g);
  g.at(kDepth, kStoreRbx);
  g.at(kDepth, "c644242c00");  // mov byte [rsp+0x2c], 0: a part of it
  g.at(kDepth, kCall);
  EXPECT_FALSE(g.facts(g.end(), true)->slot[1]);
}

TEST(Arguments, AreFoundInTheRegisterTheyWereMovedTo) {
  Function f;
  prologue(f);
  f.at(kDepth, "4889da");      // mov rdx, rbx
  f.at(kDepth, "bb15000000");  // mov ebx, 0x15
  const auto here = f.at(kDepth, "c3");
  EXPECT_EQ(f.facts(here, false)->registers[1], bit(kRdx));
}

TEST(Arguments, ComeBackFromTheirSlotAfterACall) {
  Function f;
  prologue(f);
  f.at(kDepth, kStoreRbx);
  f.at(kDepth, kCall);
  f.at(kDepth, kLoadRbx);
  const auto here = f.at(kDepth, "c3");
  EXPECT_EQ(f.facts(here, false)->registers[1], bit(kRbx));
}

// runtime.mapassign_fast64 of Go 1.22: gopanic never returns, and what follows it is the way to grow the stack.
TEST(Arguments, WhatFollowsACallThatNeverReturnsIsNoWay) {
  Function f;
  f.at(0, "493b6610");  // cmp rsp, [r14+0x10]
  f.at(0, "761e");      // jbe grow
  prologue(f);
  f.at(kDepth, "4885db");  // test rbx, rbx
  f.at(kDepth, "740b");    // je panics
  f.at(kDepth, kStoreRbx);
  f.at(kDepth, kCall);
  const auto after = f.at(kDepth, "c3");
  const auto panics = f.at(kDepth, kCall);
  f.at(kDepth, "90");
  const auto grow = f.at(0, "48 895c2410");  // mov [rsp+0x10], rbx
  f.at(0, kCall);
  f.at(0, "48 8b5c2410");  // mov rbx, [rsp+0x10]
  f.at(0, "ebcb");         // jmp to the start
  ASSERT_EQ(grow, kBase + 6 + 0x1e);
  ASSERT_EQ(panics, after + 1);
  EXPECT_TRUE(f.facts(after, true)->slot[1]);
}

TEST(Arguments, ASlotWhoseAddressIsTakenIsGivenUp) {
  Function f;
  prologue(f);
  f.at(kDepth, kStoreRbx);
  f.at(kDepth, kStoreRax);
  f.at(kDepth, "488d4c2428");  // lea rcx, [rsp+0x28]
  f.at(kDepth, kCall);
  EXPECT_EQ(f.facts(f.end(), true)->slot, (std::array{true, false, false}));
}

TEST(Arguments, WhatACallIsGiven) {
  Function f;
  prologue(f);
  f.at(kDepth, "488b442408");  // mov rax, [rsp+8]
  f.at(kDepth, "488d1c24");    // lea rbx, [rsp]
  f.at(kDepth, "b901000000");  // mov ecx, 1
  f.at(kDepth, kCall);
  const auto facts = f.facts(f.end(), true);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->passed[0], (KnownWord{Kind::kStackWord, -0x18}));
  EXPECT_EQ(facts->passed[1], (KnownWord{Kind::kStackAddress, -0x20}));
  EXPECT_EQ(facts->passed[2], KnownWord{});
}

TEST(Arguments, AWordOfTheStackIsForgottenWhenItMayHaveChanged) {
  for (const char* write : {"48 89542408",   // mov [rsp+8], rdx
                            "48 8916",       // mov [rsi], rdx: through a pointer, perhaps to it
                            "48 895500"}) {  // mov [rbp], rdx
    Function f;
    prologue(f);
    f.at(kDepth, "488b442408");  // mov rax, [rsp+8]
    f.at(kDepth, write);
    f.at(kDepth, kCall);
    EXPECT_EQ(f.facts(f.end(), true)->passed[0], KnownWord{}) << write;
  }
}

TEST(Arguments, CodeThatIsNotUnderstoodProvesNothing) {
  Function jumps;
  jumps.at(0, "ffe0");  // jmp rax
  EXPECT_FALSE(jumps.facts(kBase, false));
  Function odd;
  odd.at(0, "06");  // no instruction in 64-bit mode
  EXPECT_FALSE(odd.facts(kBase, false));
  Function into;
  into.at(0, "eb01");  // jmp into the middle of the next one
  into.at(0, "b801000000");
  into.at(0, "c3");
  EXPECT_FALSE(into.facts(kBase, false));
  Function f;
  const auto first = f.at(0, "b801000000");
  f.at(0, "c3");
  const auto never = f.at(0, "90");
  EXPECT_FALSE(f.facts(first + 1, false)) << "between instructions";
  EXPECT_FALSE(f.facts(never, false)) << "no way leads there";
  EXPECT_FALSE(f.facts(never, true)) << "no call ends there";
  EXPECT_FALSE(f.facts(f.end() + 100, true));
  EXPECT_FALSE(argument_facts(
      Bytes(), kBase, [](std::uint64_t) { return std::optional<std::uint32_t>(0); }, kBase, false));
}

TEST(Arguments, ALoopEnds) {
  Function f;
  prologue(f);
  f.at(kDepth, kStoreRbx);
  const auto loop = f.at(kDepth, "4889d8");  // mov rax, rbx
  f.at(kDepth, "4889cb");                    // mov rbx, rcx
  f.at(kDepth, "4889d1");                    // mov rcx, rdx
  f.at(kDepth, "75f5");                      // jne loop
  const auto here = f.at(kDepth, "c3");
  const auto facts = f.facts(here, false);
  ASSERT_TRUE(facts);
  EXPECT_TRUE(facts->slot[1]);
  EXPECT_EQ(facts->registers, (std::array{0U, 0U, 0U})) << "after two turns nothing is what it was";
  EXPECT_TRUE(f.facts(loop, false));
}

TEST(Arguments, AnyBytesEnd) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::byte> bytes(200);
    for (std::byte& byte : bytes) {
      byte = static_cast<std::byte>(random());
    }
    for (std::uint64_t pc = kBase; pc < kBase + bytes.size(); pc += 7) {
      (void)argument_facts(
          Bytes(bytes), kBase, [](std::uint64_t) { return std::optional<std::uint32_t>(0); }, pc, pc % 2 == 0);
    }
  }
}

}  // namespace
}  // namespace mapwatch::arch
