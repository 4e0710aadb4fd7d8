// Every reason to send SIGCONT and not to, on children that the test stops itself.
#include "guardian/let_go.h"

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "attach/children.h"
#include "base/temp_dir.h"
#include "guardian/held_file.h"
#include "guardian/thaw.h"

namespace mapwatch::guardian {
namespace {

class LetGoTest : public ::testing::Test {
 protected:
  LetGoTest() : pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child.pid(), 0))) {}

  void stop() const {
    ::kill(child.pid(), SIGSTOP);
    siginfo_t info = {};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED), 0);
  }
  /// The child's parent learns of a SIGCONT; asking twice tells that there was one.
  bool continued() const {
    siginfo_t info = {};
    return ::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WCONTINUED | WNOHANG) == 0 && info.si_pid != 0;
  }
  char state() const { return procfs.stat(child.pid())->state; }
  LetGo go(std::vector<std::uint64_t> sites, Knowledge knowledge) const {
    return let_go(pidfd.get(), child.pid(), sites, knowledge, procfs);
  }
  /// Where the stopped child would go on.
  std::uint64_t pc() const {
    const auto at = procfs.thread_place(child.pid(), child.pid());
    EXPECT_TRUE(at && *at) << "no program counter in /proc";
    return at && *at ? (**at).pc : 0;
  }
  HeldRecord record(std::vector<std::uint64_t> sites) const {
    HeldRecord out;
    out.process = *process_key(child.pid(), procfs);
    out.boot_id = *procfs.boot_id();
    struct stat exe = {};
    EXPECT_EQ(::stat(procfs.path(child.pid(), "exe").c_str(), &exe), 0);
    out.exe_dev = exe.st_dev;
    out.exe_inode = exe.st_ino;
    out.owner = {child.pid(), 1};  // nobody: the child was not started at tick 1
    out.sites = std::move(sites);
    return out;
  }
  /// Leaves a record behind, as a killed mapwatch does.
  void leave(const HeldRecord& left) const { dir.write("1-1.held", encode(left)); }

  test::Child child{"/bin/sleep", {"600"}};
  UniqueFd pidfd;
  proc::ProcFs procfs;
  test::TempDir dir;
};

TEST_F(LetGoTest, AStopOfOursEnds) {
  stop();
  EXPECT_EQ(go({}, Knowledge::kFrozen), LetGo::kContinued);
  EXPECT_TRUE(continued());
}

TEST_F(LetGoTest, AtTheSiteItIsOurs) {
  stop();
  EXPECT_EQ(standing(child.pid(), {0x1000, pc()}, procfs), Standing::kAtSite);
  EXPECT_EQ(standing(child.pid(), {pc() - 1}, procfs), Standing::kAtSite) << "the probed instruction was executed";
  EXPECT_EQ(go({pc()}, Knowledge::kMaybeFrozen), LetGo::kContinued);
  EXPECT_TRUE(continued());
}

TEST_F(LetGoTest, ElsewhereItIsSomebodyElses) {
  stop();
  EXPECT_EQ(standing(child.pid(), {0x1000}, procfs), Standing::kElsewhere);
  EXPECT_EQ(go({pc() + 1, pc() - 16}, Knowledge::kMaybeFrozen), LetGo::kNotOurs);
  EXPECT_FALSE(continued());
  EXPECT_EQ(state(), 'T');
}

/// A child that is in `pause` and has a handler for SIGURG, as each thread of a Go program has.
class Handler {
 public:
  Handler() {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid = ::fork();
    if (pid == 0) {
      struct sigaction action = {};
      action.sa_handler = [](int) {};
      ::sigaction(SIGURG, &action, nullptr);
      (void)!::write(ready[1], "x", 1);
      for (;;) {
        ::pause();
      }
    }
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Handler() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  void stop() const {
    ::kill(pid, SIGSTOP);
    siginfo_t info = {};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED), 0);
  }
  int pid = 0;
};

TEST(Standing, AtASiteBelowTheHandlerOfASignalThatCameWithTheStop) {
  const Handler child;
  const proc::ProcFs procfs;
  child.stop();
  const std::uint64_t site = (**procfs.thread_place(child.pid, child.pid)).pc;
  // Stopped once more with its own signal pending, it takes that one first and stops in the handler.
  ::syscall(SYS_tgkill, child.pid, child.pid, SIGURG);
  ::ptrace(PTRACE_SEIZE, child.pid, nullptr, nullptr);
  ::waitpid(child.pid, nullptr, __WALL);
  ::kill(child.pid, SIGCONT);
  ::kill(child.pid, SIGSTOP);
  ::ptrace(PTRACE_DETACH, child.pid, nullptr, nullptr);
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid), &info, WSTOPPED), 0);
  const auto place = procfs.thread_place(child.pid, child.pid);
  ASSERT_TRUE(place && *place);
  ASSERT_NE((**place).pc, site) << "it is not in the handler: nothing is shown";
  EXPECT_EQ(standing(child.pid, {site}, procfs), Standing::kAtSite);
  EXPECT_EQ(standing(child.pid, {0x1000}, procfs), Standing::kElsewhere);
}

TEST_F(LetGoTest, ASecondStopSignalKeepsIt) {
  stop();
  ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
  for (const Knowledge knowledge : {Knowledge::kFrozen, Knowledge::kMaybeFrozen}) {
    EXPECT_EQ(go({pc()}, knowledge), LetGo::kOtherStop);
  }
  EXPECT_FALSE(continued());
}

TEST_F(LetGoTest, WhatRunsIsNotTouchedOnSuspicion) {
  EXPECT_EQ(go({0x1000}, Knowledge::kMaybeFrozen), LetGo::kNotStopped);
  EXPECT_FALSE(continued());
}

TEST_F(LetGoTest, WhatHasEndedIsGone) {
  child.kill_only();
  EXPECT_EQ(go({0x1000}, Knowledge::kFrozen), LetGo::kGone);
}

TEST_F(LetGoTest, ThawContinuesOnlyAtASite) {
  stop();
  leave(record({0x1000}));
  auto results = thaw(dir.path(), std::nullopt, Owned::kLeave, procfs);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].outcome, LetGo::kNotOurs);
  EXPECT_FALSE(continued());
  EXPECT_TRUE(list_held(dir.path()).empty()) << "it was looked at: the record has done its work";

  leave(record({pc()}));
  EXPECT_TRUE(thaw(dir.path(), child.pid() + 1, Owned::kLeave, procfs).empty()) << "another was asked for";
  results = thaw(dir.path(), child.pid(), Owned::kLeave, procfs);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].outcome, LetGo::kContinued);
  EXPECT_TRUE(continued());
  EXPECT_TRUE(list_held(dir.path()).empty());
}

TEST_F(LetGoTest, ThawTakesNoOtherProcessForTheRecords) {
  stop();
  const auto other = [this](auto change) {
    HeldRecord left = record({pc()});
    change(left);
    leave(left);
    const auto results = thaw(dir.path(), std::nullopt, Owned::kLeave, procfs);
    EXPECT_EQ(results.size(), 1u);
    EXPECT_EQ(results.at(0).outcome, LetGo::kGone);
    EXPECT_TRUE(list_held(dir.path()).empty());
  };
  other([](HeldRecord& left) { left.process.start_time += 1; });
  other([](HeldRecord& left) { left.boot_id = "another-boot"; });
  other([](HeldRecord& left) { left.exe_inode += 1; });
  EXPECT_FALSE(continued());
}

TEST_F(LetGoTest, WhatALiveMapwatchHoldsIsLeftToItUnlessNamed) {
  stop();
  HeldRecord left = record({pc()});
  left.owner = *process_key(static_cast<int>(::getpid()), procfs);
  leave(left);
  auto results = thaw(dir.path(), std::nullopt, Owned::kLeave, procfs);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_TRUE(results[0].owned);
  EXPECT_FALSE(results[0].outcome);
  EXPECT_FALSE(continued());

  results = thaw(dir.path(), child.pid(), Owned::kToo, procfs);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].outcome, LetGo::kContinued);
  EXPECT_TRUE(continued());
  EXPECT_EQ(list_held(dir.path()).size(), 1u) << "its owner still needs the record";
}

TEST_F(LetGoTest, ADamagedRecordIsToldAndKept) {
  dir.write("7-7.held", "mapwatch-held 1\nprocess 7\n");
  const auto results = thaw(dir.path(), std::nullopt, Owned::kLeave, procfs);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].pid, 0);
  EXPECT_NE(results[0].error.find("7-7.held"), std::string::npos);
  EXPECT_EQ(list_held(dir.path()).size(), 1u);
}

}  // namespace
}  // namespace mapwatch::guardian
