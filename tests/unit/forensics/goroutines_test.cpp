// Goroutines of a process whose memory lies: every pointer may lead anywhere. Real processes are read by the e2e cases
// forensics/*, with Go's own traceback as the oracle.
#include <gtest/gtest.h>

#include <random>

#include "forensics/fake_process.h"

namespace mapwatch::forensics {
namespace {

using test::FakeProcess;

constexpr std::uint32_t kRunnable = 1, kRunning = 2, kSyscall = 3, kWaiting = 4, kDead = 6, kCopyStack = 8;

class FakeGoroutines : public testing::Test, public FakeProcess {
 protected:
  FakeGoroutines() {
    park_ = inside("runtime.gopark");
    main_ = inside("main.main");
    exit_ = binary().find("runtime.goexit")->entry + 1;
  }
  std::vector<std::uint64_t> parked() const { return {park_, main_, exit_}; }
  std::vector<std::uint64_t> pcs(const Goroutine& goroutine) const {
    std::vector<std::uint64_t> found;
    for (const Frame& frame : goroutine.frames) {
      found.push_back(frame.pc);
    }
    return found;
  }
  Goroutines read_all(RegisterMap registers = {}, const CopyLimits& limits = {}) {
    auto read_result = read(std::move(registers), limits);
    EXPECT_TRUE(read_result) << read_result.error().message;
    return read_result ? std::move(*read_result) : Goroutines{};
  }

  std::uint64_t park_ = 0, main_ = 0, exit_ = 0;
};

TEST_F(FakeGoroutines, ParkedOnesAreReadWhole) {
  add_machine(77);
  const std::uint64_t g_address = add_goroutine(9, kWaiting | kScanBit, parked());
  put(g_address + g().lockedm, kMs);
  memory().put<std::uint8_t>(g_address + g().waitreason, 14);
  put(g_address + g().waitsince, 1);
  add_goroutine(10, kDead, {});
  add_goroutine(11, kRunnable, {main_, exit_});
  const Goroutines all = read_all();
  ASSERT_EQ(all.list.size(), 2U);
  EXPECT_EQ(all.dead, 1U);
  const Goroutine& one = all.list[0];
  EXPECT_EQ(one.id, 9U);
  EXPECT_EQ(one.status, GStatus::kWaiting);
  EXPECT_TRUE(one.scan);
  EXPECT_TRUE(one.locked_to_thread);
  EXPECT_GT(one.waiting_ns, 0U);
  EXPECT_EQ(pcs(one), parked());
  EXPECT_EQ(one.end, StackEnd::kTop);
  EXPECT_EQ(one.doubt, StackDoubt::kNone);
  EXPECT_EQ(pcs(all.list[1]), (std::vector<std::uint64_t>{main_, exit_}));
  EXPECT_TRUE(all.notes.empty()) << all.notes.front();
  ASSERT_EQ(all.machines.size(), 1U);
  EXPECT_EQ(all.machines[0].thread, 77U);
}

TEST_F(FakeGoroutines, ASelectWaitsOnAllOfItsChannels) {
  const std::uint64_t g_address = add_goroutine(9, kWaiting, parked());
  const elf::SudogLayout& s = process().layout.sudog;
  const std::uint64_t first = kHeap + 0xb00000;
  memory().add(first, std::vector<std::uint8_t>(0x4000));
  put(g_address + g().waiting, first);
  for (std::uint64_t i = 0; i < 3; ++i) {
    put(first + 0x100 * i + s.channel, 0xc0ffee00 + i);
    put(first + 0x100 * i + s.waitlink, i == 2 ? 0 : first + 0x100 * (i + 1));
  }
  EXPECT_EQ(read_all().list.at(0).channels, (std::vector<std::uint64_t>{0xc0ffee00, 0xc0ffee01, 0xc0ffee02}));
  put(first + 0x200 + s.waitlink, first);  // a ring
  EXPECT_EQ(read_all().list.at(0).channels.size(), 16U);
  put(first + 0x200 + s.waitlink, 0x1234);
  EXPECT_EQ(read_all().list.at(0).channels.size(), 3U);
  for (std::uint64_t i = 0; i < 3; ++i) {
    put(first + 0x100 * i + s.channel, 0);
  }
  put(first + 0x200 + s.waitlink, first);  // a ring without a channel
  EXPECT_TRUE(read_all().list.at(0).channels.empty());
}

TEST_F(FakeGoroutines, ARunningOneIsReadByItsThreadsRegisters) {
  const std::uint64_t machine = add_machine(77);
  const std::uint64_t g_address = add_goroutine(9, kRunning, {park_, exit_});
  put(g_address + g().m, machine);
  put(machine + m().curg, g_address);
  EXPECT_EQ(read_all().list.at(0).doubt, StackDoubt::kNoRegisters);
  EXPECT_TRUE(read_all().list.at(0).frames.empty());

  // It stands in main.main now, deeper than what it saved when it was parked.
  const std::uint64_t sp = kStacks + 0x40;
  const std::uint64_t cfa = sp + *binary().unwind_row(main_)->sp_delta + 8;
  put(cfa - 8, exit_);
  const Goroutine one = read_all({{77, {main_, sp, 0}}}).list.at(0);
  EXPECT_EQ(pcs(one), (std::vector<std::uint64_t>{main_, exit_}));
  EXPECT_TRUE(one.frames[0].exact);
  EXPECT_FALSE(one.frames[1].exact);
  EXPECT_EQ(one.frames[0].cfa, cfa);
  EXPECT_EQ(one.thread, 77U);
  EXPECT_EQ(read_all({{77, {main_, sp, 0}}}).machines.at(0).goroutine, 9U);

  // Its thread is on the system stack: the frames from there come first, then what it saved.
  const std::uint64_t system = kHeap + 0x800000;
  memory().add(system, std::vector<std::uint8_t>(0x1000));
  put(machine + 0x3000 + g().stack, system);
  put(machine + 0x3000 + g().stack + 8, system + 0x1000);
  const std::uint64_t helper = inside("runtime.newproc1");
  put(system + 0x100 + *binary().unwind_row(helper)->sp_delta, inside("runtime.systemstack"));
  const Goroutine other = read_all({{77, {helper, system + 0x100, 0}}}).list.at(0);
  ASSERT_EQ(other.frames.size(), 4U);
  EXPECT_TRUE(other.frames[0].system_stack);
  EXPECT_TRUE(other.frames[1].system_stack);
  EXPECT_EQ(other.frames[2].pc, park_);
  EXPECT_EQ(other.frames[3].pc, exit_);
  EXPECT_EQ(other.doubt, StackDoubt::kNone);
}

TEST_F(FakeGoroutines, ASignalsFrameLeadsBackToTheInterruptedPlace) {
  const std::uint64_t machine = add_machine(77);
  const std::uint64_t g_address = add_goroutine(9, kRunning, {park_, exit_});
  put(g_address + g().m, machine);
  const std::uint64_t signal_stack = kHeap + 0x900000;
  memory().add(signal_stack, std::vector<std::uint8_t>(0x1000));
  put(machine + m().gsignal, machine + 0x3800);
  put(machine + 0x3800 + g().stack, signal_stack);
  put(machine + 0x3800 + g().stack + 8, signal_stack + 0x1000);
  const std::uint64_t handler = inside("runtime.sigtramp");
  const std::uint64_t context = signal_stack + 0x200 + *binary().unwind_row(handler)->sp_delta + 8;
  put(context - 8, 0x7f0000001234);  // the C library's restorer
  const std::uint64_t sp = kStacks + 0x40;
  put(context + 40 + 16 * 8, main_);
  put(context + 40 + 15 * 8, sp);
  put(sp + *binary().unwind_row(main_)->sp_delta, exit_);
  const Goroutine one = read_all({{77, {handler, signal_stack + 0x200, 0}}}).list.at(0);
  ASSERT_EQ(one.frames.size(), 3U);
  EXPECT_TRUE(one.frames[0].system_stack);
  EXPECT_EQ(one.frames[1].pc, main_);
  EXPECT_TRUE(one.frames[1].exact);
  EXPECT_EQ(one.frames[2].pc, exit_);
}

TEST_F(FakeGoroutines, ASystemCallIsReadFromWhereItWasEntered) {
  const std::uint64_t g_address = add_goroutine(9, kSyscall, {main_, exit_});
  const auto sp = memory().word(g_address + g().sched);
  put(g_address + g().syscallsp, *sp);
  put(g_address + g().syscallpc, main_);
  put(g_address + g().sched + 8, 0x1234);
  EXPECT_EQ(pcs(read_all().list.at(0)), (std::vector<std::uint64_t>{main_, exit_}));
}

TEST_F(FakeGoroutines, WhatCannotBeTrustedIsMarked) {
  struct Lie {
    const char* what;
    std::uint32_t field;
    std::uint64_t value;
    StackDoubt doubt;
  };
  const Lie lies[] = {
      {"no stack at all", g().stack + 8, 0, StackDoubt::kOdd},
      {"stack pointer beyond its stack", g().sched, kStacks + kStackSize, StackDoubt::kOdd},
      {"stack pointer of another world", g().sched, ~std::uint64_t{7}, StackDoubt::kOdd},
      {"pc outside of the program", g().sched + 8, 0x1234, StackDoubt::kOdd},
      {"stack that is not there", g().stack + 8, kStacks + 0x8000, StackDoubt::kTorn},
      {"stack of a terabyte", g().stack + 8, kStacks + (1ULL << 40), StackDoubt::kTorn},
  };
  for (const Lie& lie : lies) {
    FakeProcess fake;
    const std::uint64_t address = fake.add_goroutine(9, kWaiting, parked());
    fake.put(address + lie.field, lie.value);
    const auto all = fake.read();
    ASSERT_TRUE(all) << lie.what;
    ASSERT_EQ(all->list.size(), 1U) << lie.what;
    EXPECT_EQ(all->list[0].doubt, lie.doubt) << lie.what;
  }
  add_goroutine(9, kCopyStack, parked());
  EXPECT_EQ(read_all().list.at(0).doubt, StackDoubt::kCopying);
}

TEST_F(FakeGoroutines, AStackLongerThanTheLimitIsCut) {
  add_goroutine(9, kWaiting, parked());
  CopyLimits limits;
  limits.one_stack = *binary().unwind_row(park_)->sp_delta + 8;
  const Goroutine one = read_all({}, limits).list.at(0);
  EXPECT_EQ(one.doubt, StackDoubt::kCut);
  EXPECT_EQ(one.frames.size(), 2U);  // the caller's frame begins where the copy ends
  limits.all_stacks = 8;
  const Goroutines none = read_all({}, limits);
  EXPECT_TRUE(none.list.at(0).frames.empty());
  EXPECT_FALSE(none.notes.empty());
}

TEST_F(FakeGoroutines, ReturnAddressesThatLeadInCirclesEnd) {
  const std::uint64_t g_address = add_goroutine(9, kWaiting, {});
  put(g_address + g().sched + 8, park_);
  // The whole stack is one return address: each step climbs, until the stack ends.
  std::vector<std::uint8_t> stack;
  while (stack.size() < kStackSize) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&park_);
    stack.insert(stack.end(), bytes, bytes + 8);
  }
  memory().add(kStacks, stack);
  const Goroutine one = read_all().list.at(0);
  EXPECT_EQ(one.end, StackEnd::kCut);
  EXPECT_EQ(one.doubt, StackDoubt::kOdd);
  EXPECT_LE(one.frames.size(), kStackSize / 8);
  EXPECT_GT(one.frames.size(), 1U);
}

TEST_F(FakeGoroutines, ListsThatLie) {
  add_goroutine(9, kWaiting, parked());
  set_list(kArray, 1ULL << 60);  // more than there can be; the slice and the pointer agree
  memory().add(kArray + 8, std::vector<std::uint8_t>(200));
  Goroutines all = read_all();
  EXPECT_EQ(all.list.size(), 1U);
  EXPECT_FALSE(all.notes.empty()) << "a list that ends before its end, and nobody says so";

  // What would take more memory than the process has is not even asked for.
  memory().set_mappings({{kHeap, kHeap + 0x200000, true, true, false, 0, ""}});
  all = read_all();
  ASSERT_FALSE(all.notes.empty());
  EXPECT_NE(all.notes.front().find("no more have room"), std::string::npos) << all.notes.front();
  memory().set_mappings({});

  set_list(0x10, 3);
  EXPECT_FALSE(read());
  set_list(0, 0);
  const auto empty = read();
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().kind, ErrorKind::kMalformed);

  list();
  put(process().globals.allglen, 0);
  put(process().globals.allgptr, 0x999);
  all = read_all();
  EXPECT_EQ(all.list.size(), 1U);
  EXPECT_FALSE(all.notes.empty()) << "allgs and allgptr differ and nobody says so";

  put(kArray, 0x666);  // a g that is not there
  list();
  add_goroutine(10, kWaiting, parked());
  put(kArray, 0x666);
  all = read_all();
  EXPECT_EQ(all.list.size(), 1U);
}

TEST_F(FakeGoroutines, ThreadListsThatLie) {
  add_goroutine(9, kWaiting, parked());
  const std::uint64_t first = add_machine(1);
  const std::uint64_t second = add_machine(2);
  EXPECT_EQ(read_all().machines.size(), 2U);
  put(second + m().alllink, first);  // a ring
  Goroutines all = read_all();
  EXPECT_EQ(all.machines.size(), 2U);
  EXPECT_FALSE(all.notes.empty());
  put(second + m().alllink, 0x123456);
  all = read_all();
  EXPECT_EQ(all.machines.size(), 2U);
  EXPECT_FALSE(all.notes.empty());
}

TEST_F(FakeGoroutines, RunQueuesThatLie) {
  const std::uint64_t g_address = add_goroutine(9, kRunnable, {main_, exit_});
  const elf::PLayout& p = process().layout.p;
  const std::uint64_t address = kHeap + 0xa00000;
  memory().add(address, std::vector<std::uint8_t>(0x8000));
  put(address + 0x7000, address);
  put(process().globals.allp, address + 0x7000);
  put(process().globals.allp + 8, 1);
  put(process().globals.allp + 16, 1);
  memory().put<std::uint32_t>(address + p.runqhead, 0xffffffff);
  memory().put<std::uint32_t>(address + p.runqtail, 1);
  put(address + p.runq + 8 * 255, g_address);
  put(address + p.runq, 0xbad);
  Goroutines all = read_all();
  ASSERT_EQ(all.processors.size(), 1U);
  EXPECT_EQ(all.processors[0].queue, (std::vector<std::uint64_t>{9, 0}));  // it wraps around
  memory().put<std::uint32_t>(address + p.runqtail, 4000);
  all = read_all();
  EXPECT_TRUE(all.processors[0].queue.empty());
  EXPECT_NE(all.notes.back().find("run queue of P 0"), std::string::npos);
  put(process().globals.allp + 8, 1ULL << 50);
  EXPECT_TRUE(read_all().processors.empty());
}

TEST_F(FakeGoroutines, AnyWordOfAGMayLie) {
  const std::uint64_t machine = add_machine(77);
  std::mt19937_64 random(20260101);
  const std::uint64_t interesting[] = {0, 1, 8, kStacks, kGs, kMs, machine, park_, exit_, ~0ULL, 1ULL << 63, 0xcccc};
  const auto lie = [&] { return interesting[random() % std::size(interesting)] + random() % 3 * 8; };
  std::vector<std::uint64_t> gs;
  for (std::uint64_t id = 1; id <= 40; ++id) {
    gs.push_back(add_goroutine(id, static_cast<std::uint32_t>(random() % 12), parked()));
  }
  for (int round = 0; round < 200; ++round) {
    for (const std::uint64_t address : gs) {
      put(address + random() % 56 * 8, lie());
      put(kStacks + random() % 0x1000, lie());
    }
    put(machine + random() % 100 * 8, lie());
    const auto all = read({{77, {park_, kStacks + 0x100, 0}}, {lie(), {lie(), lie(), lie()}}});
    ASSERT_TRUE(all);
    ASSERT_LE(all->list.size(), gs.size());
    for (const Goroutine& goroutine : all->list) {
      ASSERT_LE(goroutine.frames.size(), 4 * kStackSize);
    }
  }
}

}  // namespace
}  // namespace mapwatch::forensics
