// Registers of a process of many threads that this test stops itself.
#include "attach/registers.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace mapwatch::attach {
namespace {

constexpr int kThreads = 200;
constexpr std::chrono::seconds kAmple(20);

/// A child of kThreads + 1 threads, each of which either waits in the kernel or spins.
class Threaded {
 public:
  Threaded() {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      for (int i = 0; i < kThreads; ++i) {
        std::thread([i, fd = ready[1]] {
          (void)!::write(fd, "x", 1);
          volatile unsigned long turns = 0;
          while (i == 0) {
            turns = turns + 1;
          }
          for (;;) {
            ::pause();
          }
        }).detach();
      }
      for (;;) {
        ::pause();
      }
    }
    char byte = 0;
    for (int i = 0; i < kThreads; ++i) {
      EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    }
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Threaded() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  int pid() const { return pid_; }
  void stop() const {
    ::kill(pid_, SIGSTOP);
    int status = 0;
    ASSERT_EQ(::waitpid(pid_, &status, WUNTRACED), pid_);
    ASSERT_TRUE(WIFSTOPPED(status));
  }
  bool parent_is_told_something() const {
    int status = 0;
    return ::waitpid(pid_, &status, WUNTRACED | WCONTINUED | WNOHANG) != 0;
  }

 private:
  int pid_ = 0;
};

/// A thread that was let go walks back into the group stop by itself; only /proc tells when.
void wait_for_each_state(int pid, char state) {
  const proc::ProcFs procfs;
  const auto end = std::chrono::steady_clock::now() + kAmple;
  const auto there = [&](int tid) { return procfs.thread_stat(pid, tid)->state == state; };
  const std::vector<int> all = procfs.threads(pid).value();
  while (!std::all_of(all.begin(), all.end(), there) && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
}

void expect_each_state(int pid, char state) {
  wait_for_each_state(pid, state);
  const proc::ProcFs procfs;
  const std::vector<int> tids = procfs.threads(pid).value();
  for (const int tid : tids) {
    EXPECT_EQ(procfs.thread_stat(pid, tid)->state, state) << tid;
    EXPECT_EQ(procfs.thread_status(pid, tid)->tracer_pid, 0) << tid;
  }
}

TEST(Registers, OfEveryThreadOfAStoppedProcessWhichStaysStopped) {
  const Threaded child;
  child.stop();
  const auto registers = read_registers(child.pid(), kAmple);
  ASSERT_TRUE(registers) << registers.error().message;
  EXPECT_EQ(registers->threads.size(), kThreads + 1u);
  EXPECT_TRUE(registers->missed.empty());
  wait_for_each_state(child.pid(), 'T');
  const proc::ProcFs procfs;
  for (const ThreadRegisters& thread : registers->threads) {
    const auto place = procfs.thread_place(child.pid(), thread.tid);
    ASSERT_TRUE(place && *place);
    EXPECT_EQ(thread.regs.rip, (**place).pc) << "the kernel's own word for it, thread " << thread.tid;
    EXPECT_EQ(thread.regs.rsp, (**place).sp);
  }
  EXPECT_FALSE(child.parent_is_told_something());
  expect_each_state(child.pid(), 'T');

  ::kill(child.pid(), SIGCONT);
  int status = 0;
  EXPECT_EQ(::waitpid(child.pid(), &status, WCONTINUED), child.pid());
  EXPECT_TRUE(WIFCONTINUED(status)) << "one SIGCONT ends the stop";
}

TEST(Registers, OfARunningProcessWhichRunsOn) {
  const Threaded child;
  const auto registers = read_registers(child.pid(), kAmple);
  ASSERT_TRUE(registers) << registers.error().message;
  EXPECT_EQ(registers->threads.size(), kThreads + 1u);
  EXPECT_FALSE(child.parent_is_told_something());
  const proc::ProcFs procfs;
  const std::vector<int> tids = procfs.threads(child.pid()).value();
  for (const int tid : tids) {
    const char state = procfs.thread_stat(child.pid(), tid)->state;
    EXPECT_TRUE(state == 'S' || state == 'R') << state;
  }
}

TEST(Registers, OfAProcessThatIsGone) {
  int pid = 0;
  {
    const Threaded child;
    pid = child.pid();
  }
  EXPECT_EQ(read_registers(pid, kAmple).error().kind, ErrorKind::kGone);
}

}  // namespace
}  // namespace mapwatch::attach
