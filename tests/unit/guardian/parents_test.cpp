// A parent that stops itself when its child is stopped goes on; one that others stopped does not.
#include "guardian/parents.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <string>

#include "attach/children.h"

namespace mapwatch::guardian {
namespace {

TEST(StopsItself, OnlyAStopSignalToItself) {
  EXPECT_TRUE(stops_itself("62 0x107b 0x13 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n", 4219)) << "kill(4219, SIGSTOP)";
  EXPECT_TRUE(stops_itself("62 0x107b 0x14 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n", 4219)) << "SIGTSTP";
  EXPECT_TRUE(stops_itself("234 0x107b 0x107b 0x13 0x0 0x0 0x0 0x7ffe 0x7f00\n", 4219)) << "raise(3): tgkill";
  EXPECT_FALSE(stops_itself("62 0x107c 0x13 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n", 4219)) << "another process";
  EXPECT_FALSE(stops_itself("62 0xffffef85 0x13 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n", 4219))
      << "a shell's suspend: the group";
  EXPECT_FALSE(stops_itself("62 0x107b 0x0f 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n", 4219)) << "SIGTERM";
  EXPECT_FALSE(stops_itself("61 0x107b 0x13 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n", 4219)) << "wait4";
  for (const char* text :
       {"", "running\n", "-1 0x7ffe 0x7f00\n", "62", "62 0x107b", "62 0x107b 0x13", "62 zz 0x13 0x0"}) {
    EXPECT_FALSE(stops_itself(text, 4219)) << text;
  }
}

/// A shell with a child: it stops itself, or is stopped, before this returns.
class Family {
 public:
  explicit Family(const std::string& then)
      : shell_("/bin/sh", {"-c", "sleep 600 & echo; " + then + "; kill $!; exit 7"}) {}
  ~Family() {
    if (const int left = child(); left != 0) {
      ::kill(left, SIGKILL);
    }
  }

  int shell() const { return shell_.pid(); }
  int child() const {
    const auto text =
        proc::read_file("/proc/" + std::to_string(shell()) + "/task/" + std::to_string(shell()) + "/children");
    return text && !text->empty() ? std::stoi(*text) : 0;
  }
  void wait_stopped() const {
    siginfo_t info = {};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(shell()), &info, WSTOPPED), 0);
  }
  bool continued() const {
    siginfo_t info = {};
    return ::waitid(P_PID, static_cast<id_t>(shell()), &info, WCONTINUED | WNOHANG) == 0 && info.si_pid != 0;
  }

 private:
  test::Child shell_;
};

TEST(WakeParents, OneThatStoppedItselfRunsOn) {
  const Family family("kill -STOP $$");
  family.wait_stopped();
  ASSERT_GT(family.child(), 1);
  EXPECT_EQ(wake_parents(family.child(), proc::ProcFs()), std::vector<int>{family.shell()});
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(family.shell()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(info.si_status, 7);
}

TEST(WakeParents, OneThatWasStoppedStays) {
  const Family family("wait");
  while (family.child() == 0) {
    ::sched_yield();
  }
  ::kill(family.shell(), SIGSTOP);
  family.wait_stopped();
  EXPECT_TRUE(wake_parents(family.child(), proc::ProcFs()).empty());
  EXPECT_FALSE(family.continued());
}

TEST(WakeParents, NoSuchProcess) { EXPECT_TRUE(wake_parents(0x7ffffff0, proc::ProcFs()).empty()); }

}  // namespace
}  // namespace mapwatch::guardian
