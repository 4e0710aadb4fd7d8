// What is noted of a dying process's last system calls, and what is not.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "machine.h"

#include <dying.bpf.h>

namespace {
std::map<mw_u32, mw_dying> dying;
bool kernel_unreadable = false;
}  // namespace

mw_dying* mw_dying_of(mw_u32 tgid) {
  const auto found = dying.find(tgid);
  return found == dying.end() ? nullptr : &found->second;
}

int bpf_probe_read_kernel(void* to, mw_u32 size, const void* from) {
  if (kernel_unreadable) {
    return -14;
  }
  __builtin_memcpy(to, from, size);
  return 0;
}

namespace mapwatch::bpf_test {
namespace {

constexpr mw_u64 kWrite = 1;
constexpr mw_u64 kRead = 0;
constexpr mw_u64 kExitGroup = 231;
constexpr mw_u64 kText = 0x600000;

class Dying : public ::testing::Test {
 protected:
  Dying() {
    dying.clear();
    kernel_unreadable = false;
    dying[100].tid = 101;
    say("fatal error: ");
  }
  ~Dying() override { kernel_unreadable = false; }
  /// What lies at kText.
  void say(const std::string& text) { machine.resident[kText] = text; }
  void call(mw_u32 tid, mw_u64 number, mw_u64 first, mw_u64 third = 0, mw_u32 tgid = 100) {
    machine.current = (static_cast<mw_u64>(tgid) << 32) | tid;
    machine.now += 1000;
    pt_regs regs = {};
    regs.di = first;
    regs.si = kText;
    regs.dx = third;
    mw_on_syscall(&regs, number);
  }
  const mw_dying& seen() const { return dying.at(100); }

  Machine machine;
};

TEST_F(Dying, TheFirstWriteOnDescriptorTwoOfTheCrashingThreadIsGos) {
  call(101, kWrite, 1, 5);
  EXPECT_EQ(seen().writes, 0u) << "stdout";
  say("anything");  // it does nothing else any more
  call(101, kWrite, 2, 3);
  const mw_u64 at = machine.now;
  call(101, kWrite, 2, 40);
  EXPECT_EQ(seen().first_ns, at);
  EXPECT_EQ(seen().go_ns, at);
  EXPECT_EQ(seen().go_tid, 101u);
  EXPECT_EQ(seen().last_ns, machine.now);
  EXPECT_EQ(seen().writes, 2u);
  EXPECT_EQ(seen().bytes, 43u);
}

TEST_F(Dying, WhatOtherThreadsWriteIsNotTakenForGosWords) {
  for (const char* text : {"2026/11/26 INFO served", "fatal error", "Fatal error: x", ""}) {
    say(text);
    call(102, kWrite, 2, std::string(text).size());
  }
  EXPECT_EQ(seen().go_ns, 0u);
  EXPECT_EQ(seen().first_tid, 102u);
  EXPECT_EQ(seen().writes, 4u);
  const mw_u64 first = seen().first_ns;
  call(101, kWrite, 2, 13);
  EXPECT_EQ(seen().go_tid, 101u);
  EXPECT_EQ(seen().first_ns, first);
}

TEST_F(Dying, AnotherGoroutineOnTheFatalPathIsToldByItsWords) {
  call(103, kWrite, 2, 13);
  const mw_u64 at = machine.now;
  call(101, kWrite, 2, 13);
  EXPECT_EQ(seen().go_ns, at);
  EXPECT_EQ(seen().go_tid, 103u);
}

TEST_F(Dying, WordsThatCannotBeReadAreNotGos) {
  machine.resident.clear();
  call(102, kWrite, 2, 13);
  EXPECT_EQ(seen().go_ns, 0u);
  EXPECT_EQ(seen().first_tid, 102u);
}

TEST_F(Dying, DescriptorsAreIntegers) {
  call(101, kWrite, 0x100000002, 1);  // the kernel takes the low half of rdi
  EXPECT_EQ(seen().writes, 1u);
  call(101, kWrite, 0x200000000, 1);
  EXPECT_EQ(seen().writes, 1u);
}

TEST_F(Dying, TheFirstExitCounts) {
  call(102, kExitGroup, 2);
  const mw_u64 at = machine.now;
  call(101, kExitGroup, 7);
  EXPECT_EQ(seen().exit_ns, at);
  EXPECT_EQ(seen().exit_status, 2u);
}

TEST_F(Dying, NothingOfOtherCallsAndOtherProcesses) {
  call(101, kRead, 2, 5);
  call(201, kWrite, 2, 5, 200);
  call(201, kExitGroup, 0, 0, 200);
  EXPECT_EQ(seen().writes, 0u);
  EXPECT_EQ(seen().exit_ns, 0u);
  EXPECT_EQ(dying.size(), 1u);
}

TEST_F(Dying, WhatCannotBeReadIsCounted) {
  kernel_unreadable = true;
  call(101, kWrite, 2, 5);
  call(101, kExitGroup, 2);
  EXPECT_EQ(seen().lost, 2u);
  EXPECT_EQ(seen().writes, 0u);
  EXPECT_EQ(seen().exit_ns, 0u);
}

}  // namespace
}  // namespace mapwatch::bpf_test
