// When a process is frozen at its fatal error, and when not.
#include <gtest/gtest.h>

#include "machine.h"

namespace mapwatch::bpf_test {
namespace {

constexpr mw_u32 kSigstop = 19;

class Freeze : public ::testing::Test {
 protected:
  Freeze() { set(MW_POLICY_FREEZE); }
  void set(mw_u32 flags) {
    mw_policy policy = {};
    policy.flags = flags;
    machine.allow(a.tgid, policy);
  }
  mw_u32 flags(std::size_t i = 0) const { return machine.fatals.at(i).flags & 0xff; }

  Machine machine;
  Goroutine a{0xc000001000, 100, 101};
  Goroutine b{0xc000002000, 100, 102};
};

TEST_F(Freeze, AtEachTextOfAConcurrentMapCrash) {
  for (const char* text :
       {"concurrent map writes", "concurrent map read and map write", "concurrent map iteration and map write",
        "concurrent map clone and map write", "small map with no empty slot (concurrent map writes?)"}) {
    machine.fatals.clear();
    machine.frozen.clear();
    machine.signals.clear();
    machine.fatal(a, text);
    EXPECT_EQ(flags(), MW_FATAL_FROZEN) << text;
    EXPECT_EQ(machine.signals, (std::vector<std::pair<mw_u32, mw_u32>>{{kSigstop, a.tgid}})) << text;
  }
}

TEST_F(Freeze, NotAtOtherFatalErrorsUnlessAllAreAskedFor) {
  for (const char* text : {"all goroutines are asleep - deadlock!", "concurrent ma", "small map with no empty slot", "",
                           "sync: unlock of unlocked mutex"}) {
    machine.fatals.clear();
    machine.fatal(a, text);
    EXPECT_EQ(flags() & MW_FATAL_FROZEN, 0u) << text;
  }
  EXPECT_TRUE(machine.signals.empty());
  EXPECT_TRUE(machine.notes.empty());
  set(MW_POLICY_FREEZE | MW_POLICY_FREEZE_ALL);
  machine.fatals.clear();
  machine.fatal(a, "sync: unlock of unlocked mutex");
  EXPECT_EQ(flags(), MW_FATAL_FROZEN);
}

TEST_F(Freeze, NotWithoutThePolicy) {
  set(0);
  machine.fatal(a, "concurrent map writes");
  ASSERT_EQ(machine.fatals.size(), 1u);
  EXPECT_EQ(flags(), 0u);
  EXPECT_TRUE(machine.signals.empty());
  EXPECT_TRUE(machine.frozen.empty()) << "a later freeze must stay possible";
}

TEST_F(Freeze, WhenTheTextCannotBeReadUserSpaceMustLookAtIt) {
  machine.fatal(a, "concurrent map writes", false);
  EXPECT_EQ(flags(), MW_FATAL_FROZEN | MW_FATAL_TEXT_UNREADABLE);
  EXPECT_EQ(machine.fatals[0].text_addr, 0x600000u);
  EXPECT_EQ(machine.fatals[0].text_len, 21u);
}

TEST_F(Freeze, TwoGoroutinesFreezeOnce) {
  machine.fatal(a, "concurrent map writes");
  machine.fatal(b, "concurrent map read and map write");
  ASSERT_EQ(machine.fatals.size(), 2u);
  EXPECT_EQ(flags(0), MW_FATAL_FROZEN);
  EXPECT_EQ(flags(1), MW_FATAL_SECOND);
  EXPECT_EQ(machine.signals.size(), 1u);
  ASSERT_EQ(machine.notes.size(), 1u);
  EXPECT_EQ(machine.notes[0].tgid, 100u);
  EXPECT_EQ(machine.notes[0].tid, 101u);
  EXPECT_EQ(machine.notes[0].time_ns, machine.fatals[0].head.time_ns);
}

TEST_F(Freeze, NotWhenNobodyWouldHearOfIt) {
  machine.notes_full = true;
  machine.fatal(a, "concurrent map writes");
  EXPECT_EQ(flags(), MW_FATAL_NOT_FROZEN);
  EXPECT_TRUE(machine.signals.empty());

  machine.notes_full = false;
  machine.ring_full = true;
  machine.frozen.clear();
  machine.fatal(b, "concurrent map writes");
  EXPECT_TRUE(machine.signals.empty()) << "mapwatch itself would not hear of it";
  EXPECT_TRUE(machine.frozen.empty());
}

TEST_F(Freeze, NotOnceTheGuardianHasClosedTheGate) {
  machine.gate_open = false;
  machine.fatal(a, "concurrent map writes");
  EXPECT_EQ(flags(), MW_FATAL_NOT_FROZEN);
  EXPECT_TRUE(machine.signals.empty());
  EXPECT_TRUE(machine.notes.empty());
}

TEST_F(Freeze, ARefusedSignalTellsTheGuardianNothing) {
  machine.signal_fails = true;
  machine.fatal(a, "concurrent map writes");
  EXPECT_EQ(flags(), MW_FATAL_NOT_FROZEN);
  EXPECT_TRUE(machine.notes.empty());
}

TEST_F(Freeze, RegistersOfTheCrashingThread) {
  machine.fatal(a, "concurrent map writes");
  const mw_regs& regs = machine.fatals.at(0).regs;
  EXPECT_EQ(regs.ax, 0x600000u);
  EXPECT_EQ(regs.bx, 21u);
  EXPECT_EQ(regs.cx, 0xc0u);
  EXPECT_EQ(regs.r8, 0x88u);
  EXPECT_EQ(regs.r14, a.g);
  EXPECT_EQ(regs.r15, 0x1515u);
  EXPECT_EQ(regs.ip, 0x400200u);
  EXPECT_EQ(regs.sp, 0x7000000000u);
  EXPECT_EQ(regs.bp, 0x7000000100u);
}

}  // namespace
}  // namespace mapwatch::bpf_test
