#include "witness/kernel_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace mapwatch::witness {
namespace {

TEST(KernelRecord, TimeAndText) {
  const auto line = parse_kernel_record("6,339,5140900,-;race[4211]: segfault at 0\n SUBSYSTEM=acpi\n");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->time_ns, 5'140'900'000u);
  EXPECT_EQ(line->text, "race[4211]: segfault at 0");
  EXPECT_EQ(parse_kernel_record("6,339,7,-,caller=T1;x")->time_ns, 7000u);
  EXPECT_EQ(parse_kernel_record("6,339,7;")->text, "");
  for (const char* bad : {"", "6,339,7,-", "6,339;x", "6;x", ";", "6,339,,-;x", "6,339,7x,-;x", "6,339,-7,-;x",
                          "6,339,18446744073709551615,-;x"}) {
    EXPECT_FALSE(parse_kernel_record(bad)) << bad;
  }
}

TEST(NamesProcess, InTheKernelsWays) {
  for (const char* text :
       {"race[4211]: segfault at 0 ip 0", "traps: race[4211] general protection fault", "CPU: 1 PID: 4211 Comm: race",
        "Memory cgroup out of memory: Killed process 4211 (race) total-vm:1kB", "audit: type=1701 uid=0 pid=4211 comm=",
        "INFO: task race:4211 blocked for more than 120 seconds.", "oom_reaper: reaped process 4211 (race)"}) {
    EXPECT_TRUE(names_process(text, 4211)) << text;
  }
  for (const char* text : {"", "4211", "eth0: 4211 packets", "Killed process 42110 (x)", "race[42110]", "race[4211x]",
                           "PID: 14211", "uprobe: mapwatch:4211 failed", "x[4211"}) {
    EXPECT_FALSE(names_process(text, 4211)) << text;
  }
}

class KernelLogTest : public testing::Test {
 protected:
  KernelLogTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    writer_.reset(ends[1]);
    log_.emplace(UniqueFd(ends[0]));
  }
  void say(const std::string& record) {
    EXPECT_EQ(::send(writer_.get(), record.data(), record.size(), 0), static_cast<ssize_t>(record.size()));
  }
  UniqueFd writer_;
  std::optional<KernelLog> log_;
};

TEST_F(KernelLogTest, OnlyTheLinesOfTheProcess) {
  say("6,1,10,-;race[7]: a");
  say("6,2,20,-;other[8]: b");
  say("no record");
  say("6,3,30,-;Killed process 7 (race)");
  KernelLog::Lines found = log_->lines_of(7);
  ASSERT_EQ(found.lines.size(), 2u);
  EXPECT_EQ(found.lines[1].time_ns, 30'000u);
  EXPECT_FALSE(found.cut);
  EXPECT_TRUE(log_->lines_of(7).lines.empty()) << "each line once";
}

TEST_F(KernelLogTest, AFloodIsCut) {
  for (int i = 0; i < 65; ++i) {
    say("6,1,10,-;race[7]: a");
  }
  const KernelLog::Lines found = log_->lines_of(7);
  EXPECT_EQ(found.lines.size(), 64u);
  EXPECT_TRUE(found.cut);
}

TEST(KernelLogDevice, WhatCannotBeReadIsAnError) {
  EXPECT_FALSE(KernelLog::open_at_end("/no/such"));
  EXPECT_FALSE(KernelLog::open_at_end("/dev/stdin/x"));
}

}  // namespace
}  // namespace mapwatch::witness
