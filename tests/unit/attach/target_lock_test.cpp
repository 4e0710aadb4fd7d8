#include "attach/target_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace mapwatch::attach {
namespace {

using test::TempDir;

std::size_t files_in(const std::string& path) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator()));
}

/// A process that locks a target and holds the lock until it is let go or killed.
class Holder {
 public:
  Holder(const std::string& run_dir, int pid, std::uint64_t start) {
    int ready[2];
    int release[2];
    if (::pipe(ready) != 0 || ::pipe(release) != 0) {
      throw std::runtime_error("pipe failed");
    }
    child_ = ::fork();
    if (child_ == 0) {
      ::close(release[1]);
      const auto lock = TargetLock::acquire(run_dir, pid, start, "mapwatch watch -p 42\n\033[31m");
      char byte = lock ? 'y' : 'n';
      (void)!::write(ready[1], &byte, 1);
      (void)!::read(release[0], &byte, 1);
      ::_exit(0);
    }
    ::close(ready[1]);
    ::close(release[0]);
    release_ = UniqueFd(release[1]);
    const UniqueFd ready_fd(ready[0]);
    char byte = '?';
    (void)!::read(ready_fd.get(), &byte, 1);
    locked_ = byte == 'y';
  }
  ~Holder() { stop(0); }
  void stop(int signal) {
    if (child_ > 0) {
      if (signal != 0) {
        ::kill(child_, signal);
      }
      release_.reset();
      ::waitpid(child_, nullptr, 0);
      child_ = -1;
    }
  }
  pid_t pid() const { return child_; }
  bool locked() const { return locked_; }

 private:
  pid_t child_ = -1;
  UniqueFd release_;
  bool locked_ = false;
};

TEST(TargetLockTest, SecondOneIsToldWhoHoldsIt) {
  const TempDir dir;
  Holder holder(dir.path(), 42, 1000);
  ASSERT_TRUE(holder.locked());
  const auto second = TargetLock::acquire(dir.path(), 42, 1000, "mapwatch watch -p 42");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kFailed);
  // Control characters of the command line do not reach the terminal.
  EXPECT_EQ(second.error().message,
            "process 42 is watched already, by pid " + std::to_string(holder.pid()) + " (mapwatch watch -p 42  [31m)");
  EXPECT_EQ(files_in(dir.path()), 1U);  // no draft is left
}

TEST(TargetLockTest, AnotherTargetOrAReusedPidIsFree) {
  const TempDir dir;
  Holder holder(dir.path(), 42, 1000);
  ASSERT_TRUE(holder.locked());
  EXPECT_TRUE(TargetLock::acquire(dir.path(), 42, 1001, "x"));
  EXPECT_TRUE(TargetLock::acquire(dir.path(), 43, 1000, "x"));
}

TEST(TargetLockTest, AKilledHolderBarsNobody) {
  const TempDir dir;
  Holder holder(dir.path(), 42, 1000);
  ASSERT_TRUE(holder.locked());
  holder.stop(SIGKILL);
  EXPECT_EQ(files_in(dir.path()), 1U);  // the stale file
  {
    const auto lock = TargetLock::acquire(dir.path(), 42, 1000, "x");
    ASSERT_TRUE(lock) << lock.error().message;
    EXPECT_FALSE(TargetLock::acquire(dir.path(), 42, 1000, "x"));
  }
  EXPECT_EQ(files_in(dir.path()), 0U);
}

TEST(TargetLockTest, ReleaseRemovesTheFileAndMovesKeepIt) {
  const TempDir dir;
  const std::string run_dir = dir.file("a/b");  // made when missing
  auto first = TargetLock::acquire(run_dir, 42, 1000, "x");
  ASSERT_TRUE(first);
  TargetLock moved = std::move(*first);
  EXPECT_FALSE(TargetLock::acquire(run_dir, 42, 1000, "x"));
  auto other = TargetLock::acquire(run_dir, 43, 1000, "x");
  ASSERT_TRUE(other);
  moved = std::move(*other);  // lets 42 go
  EXPECT_TRUE(TargetLock::acquire(run_dir, 42, 1000, "x"));
  EXPECT_FALSE(TargetLock::acquire(run_dir, 43, 1000, "x"));
}

TEST(TargetLockTest, ReleaseLeavesAFileThatIsNotItsOwn) {
  const TempDir dir;
  {
    const auto lock = TargetLock::acquire(dir.path(), 42, 1000, "x");
    ASSERT_TRUE(lock);
    ASSERT_TRUE(std::filesystem::remove(lock->path()));  // somebody tidied /run
    dir.write("42-1000.lock", "5\nanother\n");
  }
  EXPECT_EQ(files_in(dir.path()), 1U);
}

TEST(TargetLockTest, AFileWithJunkInItNamesNobody) {
  const TempDir dir;
  dir.write("42-1000.lock", "junk");
  const UniqueFd fd(::open(dir.file("42-1000.lock").c_str(), O_RDONLY));
  ASSERT_EQ(::flock(fd.get(), LOCK_EX | LOCK_NB), 0);
  const auto lock = TargetLock::acquire(dir.path(), 42, 1000, "x");
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().message, "process 42 is watched already, by another mapwatch");
}

TEST(TargetLockTest, SaysWhenTheRunDirectoryCannotBeUsed) {
  const TempDir dir;
  dir.write("file", "");
  const auto lock = TargetLock::acquire(dir.file("file"), 42, 1000, "x");
  ASSERT_FALSE(lock);
  EXPECT_NE(lock.error().message.find(dir.file("file")), std::string::npos);
}

// Threads that take and release one lock all the time: never two holders at once, nobody is refused for ever, and who
// is refused is told by whom.
TEST(TargetLockTest, OneHolderAtATimeUnderContention) {
  constexpr int kThreads = 4;
  constexpr int kEach = 75;
  constexpr int kMostTries = 1'000'000;
  const TempDir dir;
  const std::string us = "watched already, by pid " + std::to_string(::getpid()) + " (x)";
  std::atomic<int> holders = 0;
  std::atomic<int> most = 0;
  std::atomic<int> taken = 0;
  std::atomic<int> unexplained = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        int left = kEach;
        for (int tries = 0; left > 0 && tries < kMostTries; ++tries) {
          if (const auto lock = TargetLock::acquire(dir.path(), 42, 1000, "x")) {
            const int now = ++holders;
            most = std::max(most.load(), now);
            ++taken;
            --left;
            --holders;
          } else if (lock.error().message.find(us) == std::string::npos) {
            ++unexplained;
          }
        }
      });
    }
  }
  EXPECT_EQ(most, 1);
  EXPECT_EQ(taken, kThreads * kEach);
  EXPECT_EQ(unexplained, 0);
  EXPECT_EQ(files_in(dir.path()), 0U);
}

}  // namespace
}  // namespace mapwatch::attach
