#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "forensics/thread_stop.h"

namespace mapwatch::forensics {
namespace {

/// A child with some threads that count, or that sleep; it writes one byte when they all run.
class Child {
 public:
  explicit Child(int threads, bool count = true) {
    int pipe_fds[2];
    if (pipe(pipe_fds) != 0) {
      ADD_FAILURE() << "pipe";
      return;
    }
    UniqueFd read_end(pipe_fds[0]);
    UniqueFd write_end(pipe_fds[1]);
    pid_ = fork();
    if (pid_ == 0) {
      std::vector<std::thread> all;
      for (int i = 0; i < threads; ++i) {
        all.emplace_back([count] {
          while (!count) {
            pause();
          }
          for (volatile bool ever = true; ever;) {
          }
        });
      }
      (void)!write(write_end.get(), "r", 1);
      for (;;) {
        pause();
      }
    }
    char byte = 0;
    EXPECT_EQ(read(read_end.get(), &byte, 1), 1);
  }
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  int pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

std::vector<char> states(int pid) {
  std::vector<char> found;
  const proc::ProcFs procfs;
  const std::vector<int> threads = procfs.threads(pid).value_or(std::vector<int>());
  for (const int tid : threads) {
    const auto stat = procfs.thread_stat(pid, tid);
    found.push_back(stat ? stat->state : '?');
  }
  return found;
}

TEST(ThreadStop, HoldsEveryThreadAndLetsGo) {
  const Child child(5);
  {
    const auto stop = ThreadStop::all(child.pid(), 20'000);
    ASSERT_TRUE(stop) << stop.error().message;
    EXPECT_EQ(stop->threads(), 6U);
    EXPECT_EQ(stop->registers().size(), 6U);
    EXPECT_EQ(states(child.pid()), std::vector<char>(6, 't'));
    for (const auto& [tid, registers] : stop->registers()) {
      EXPECT_NE(registers.pc, 0U) << tid;
      EXPECT_NE(registers.sp, 0U) << tid;
    }
  }
  for (const char state : states(child.pid())) {
    EXPECT_NE(state, 't');
  }
  const auto status = proc::ProcFs().status(child.pid());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->tracer_pid, 0);
}

TEST(ThreadStop, ASignalThatCameMeanwhileIsNotLost) {
  const Child child(1);
  auto stop = ThreadStop::all(child.pid(), 20'000);
  ASSERT_TRUE(stop);
  kill(child.pid(), SIGTERM);
  EXPECT_EQ(states(child.pid()), std::vector<char>(2, 't'));
  stop->release();
  int status = 0;
  ASSERT_EQ(waitpid(child.pid(), &status, 0), child.pid());
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(ThreadStop, AProcessThatDiesWhileItIsHeld) {
  const Child child(3);
  auto stop = ThreadStop::all(child.pid(), 20'000);
  ASSERT_TRUE(stop);
  kill(child.pid(), SIGKILL);
  stop->release();
  EXPECT_EQ(stop->threads(), 0U);
  // Nothing of it is left, though only its tracer could wait for its threads.
  EXPECT_FALSE(proc::ProcFs().threads(child.pid()).has_value() && states(child.pid()).size() > 1);
}

TEST(ThreadStop, AProcessThatIsKilledWhileItIsBeingStopped) {
  // The instant is what is random: between two seizes, or before the first thread was waited for.
  for (int round = 0; round < 100; ++round) {
    const Child child(40, false);
    std::thread killer([&] {
      usleep(static_cast<useconds_t>(round * 20));
      kill(child.pid(), SIGKILL);
    });
    const auto stop = ThreadStop::all(child.pid(), 3000);
    EXPECT_TRUE(stop || stop.error().message.find("in time") == std::string::npos)
        << "round " << round << ": " << stop.error().message;
    killer.join();
  }
}

TEST(ThreadStop, NobodyThere) {
  const auto stop = ThreadStop::all(0x3fffffff, 100);
  ASSERT_FALSE(stop);
  EXPECT_EQ(stop.error().kind, ErrorKind::kGone);
}

}  // namespace
}  // namespace mapwatch::forensics
