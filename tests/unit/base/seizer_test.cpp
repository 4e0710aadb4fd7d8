#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/proc.h"
#include "base/seizer.h"
#include "base/unique_fd.h"

namespace mapwatch {
namespace {

/// A child with two threads beside its first: one waits for ever, one execs when it is told to.
class Child {
 public:
  Child() {
    int ids[2];
    int go[2];
    if (::pipe(ids) != 0 || ::pipe(go) != 0) {
      ADD_FAILURE() << "pipe";
      return;
    }
    const UniqueFd ids_end(ids[1]), go_end(go[0]);
    ids_ = UniqueFd(ids[0]);
    go_ = UniqueFd(go[1]);
    pid = ::fork();
    if (pid == 0) {
      run(ids[1], go[0]);
    }
    for (int i = 0; i < 2; ++i) {
      Hello hello;
      EXPECT_EQ(::read(ids_.get(), &hello, sizeof(hello)), static_cast<ssize_t>(sizeof(hello)));
      (hello.execs ? execer : waiter) = hello.id;
    }
  }
  ~Child() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, __WALL);
  }

  void exec() const { EXPECT_EQ(::write(go_.get(), "x", 1), 1); }

  int pid = -1;
  int waiter = 0;  ///< thread ids
  int execer = 0;

 private:
  struct Hello {
    int id = 0;
    int execs = 0;
  };
  static void say_hello(int ids, int execs) {
    const Hello hello{static_cast<int>(::syscall(SYS_gettid)), execs};
    (void)!::write(ids, &hello, sizeof(hello));
  }
  [[noreturn]] static void run(int ids, int go) {
    std::thread([ids] {
      say_hello(ids, 0);
      for (;;) {
        ::pause();
      }
    }).detach();
    std::thread([ids, go] {
      say_hello(ids, 1);
      char byte = 0;
      (void)!::read(go, &byte, 1);
      ::execl("/bin/sleep", "sleep", "60", nullptr);
      ::_exit(1);
    }).detach();
    for (;;) {
      ::pause();
    }
  }
  UniqueFd ids_, go_;
};

TEST(Seizer, AnExecThatWaitsForASeizedThreadIsNotWaitedForInTurn) {
  const Child child;
  const proc::ProcFs procfs;
  ::alarm(120);  // two that wait for each other have no other end
  std::thread([&] {
    Seizer seizer;
    EXPECT_EQ(seizer.seize(child.waiter), 0);
    child.exec();
    // It holds the lock once the others are dead: the first one is, and nobody has waited for the seized one.
    const auto state = [&](int tid) {
      const auto stat = procfs.thread_stat(child.pid, tid);
      return stat ? stat->state : '?';
    };
    while (state(child.waiter) != 'Z' || state(child.execer) != 'D') {
      std::this_thread::yield();
    }
    const int error = seizer.seize(child.execer);
    EXPECT_TRUE(error == 0 || error == ESRCH) << error;
  }).join();  // with its tracer all tracing ends
  while (procfs.stat(child.pid)->comm != "sleep") {
    std::this_thread::yield();
  }
  ::alarm(0);
}

}  // namespace
}  // namespace mapwatch
