#include "attach/target.h"

#include <linux/sched.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "attach/children.h"
#include "attach/text_check.h"
#include "base/temp_dir.h"

namespace mapwatch::attach {
namespace {

using test::Child;
using test::TempDir;

const std::string kSleep = "/bin/sleep";

struct stat stat_of(const std::string& path) {
  struct stat file = {};
  EXPECT_EQ(::stat(path.c_str(), &file), 0) << path;
  return file;
}

TEST(TargetTest, HoldsTheIdentityOfAProcess) {
  const Child child(kSleep, {"1000"});
  const auto target = Target::open(child.pid());
  ASSERT_TRUE(target) << target.error().message;
  const struct stat file = stat_of(kSleep);
  EXPECT_EQ(target->pid(), child.pid());
  EXPECT_EQ(target->exe_dev(), file.st_dev);
  EXPECT_EQ(target->exe_inode(), file.st_ino);
  EXPECT_EQ(target->exe_path(), std::filesystem::canonical(kSleep));
  EXPECT_FALSE(target->exe_deleted());
  EXPECT_EQ(target->start_time(), proc::ProcFs().stat(child.pid())->start_time);
  EXPECT_EQ(target->comm(), "sleep");
  EXPECT_EQ(target->uid(), ::getuid());
  EXPECT_EQ(target->ns_pids().front(), child.pid());
  EXPECT_TRUE(target->alive());
  EXPECT_TRUE(target->same_exe());
  EXPECT_TRUE(target->check());
  // What libbpf and perf_event_open are given names the same file.
  const struct stat attached = stat_of(target->attach_path());
  EXPECT_EQ(attached.st_ino, file.st_ino);
  EXPECT_EQ(attached.st_dev, file.st_dev);
}

TEST(TargetTest, SeesTheExitOfZombieAndReapedAlike) {
  Child child(kSleep, {"1000"});
  const auto target = Target::open(child.pid());
  ASSERT_TRUE(target);
  child.kill_only();
  EXPECT_FALSE(target->alive());
  EXPECT_FALSE(target->same_exe());
  EXPECT_EQ(target->check().error().kind, ErrorKind::kGone);
  pollfd poll_fd = {target->pidfd(), POLLIN, 0};
  EXPECT_EQ(::poll(&poll_fd, 1, 0), 1);
  const auto zombie = Target::open(child.pid());
  ASSERT_FALSE(zombie);
  EXPECT_EQ(zombie.error().kind, ErrorKind::kGone);
  EXPECT_NE(zombie.error().message.find("zombie"), std::string::npos);

  const int pid = child.pid();
  child.kill_and_wait();
  EXPECT_FALSE(target->alive());
  const auto gone = Target::open(pid);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, ErrorKind::kGone);
  EXPECT_EQ(gone.error().message, "no process " + std::to_string(pid));
}

TEST(TargetTest, AnExecKeepsThePidAndChangesTheIdentity) {
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  int done[2];
  ASSERT_EQ(::pipe2(done, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    char byte = 0;
    ::close(go[1]);
    (void)!::read(go[0], &byte, 1);
    ::execl(kSleep.c_str(), "sleep", "1000", nullptr);
    ::_exit(127);
  }
  ::close(done[1]);
  const auto target = Target::open(pid);  // the child still runs this test's program
  ASSERT_TRUE(target);
  EXPECT_TRUE(target->same_exe());
  EXPECT_EQ(target->exe_inode(), stat_of("/proc/self/exe").st_ino);
  const std::uint64_t start = target->start_time();
  ::close(go[1]);
  ::close(go[0]);
  char byte = 0;
  EXPECT_EQ(::read(done[0], &byte, 1), 0);  // exec closed it
  ::close(done[0]);

  EXPECT_TRUE(target->alive());
  EXPECT_FALSE(target->same_exe());
  const auto checked = target->check();
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("another program"), std::string::npos);
  EXPECT_EQ(Target::open(pid)->start_time(), start);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

TEST(TargetTest, ADeletedOrReplacedFileIsStillReadable) {
  const TempDir dir;
  const std::string program = dir.file("prog");
  std::filesystem::copy_file(kSleep, program);
  const Child child(program, {"1000"});
  std::filesystem::remove(program);
  dir.write("prog", "another file");
  const auto target = Target::open(child.pid());
  ASSERT_TRUE(target);
  EXPECT_TRUE(target->exe_deleted());
  EXPECT_EQ(target->exe_path(), program);
  EXPECT_TRUE(target->same_exe());
  EXPECT_EQ(stat_of(target->attach_path()).st_size, stat_of(kSleep).st_size);
}

TEST(TargetTest, AThreadIsNoProcess) {
  std::atomic<int> tid = 0;
  std::atomic<bool> leave = false;
  std::thread thread([&] {
    tid = ::gettid();
    tid.notify_one();
    leave.wait(false);
  });
  tid.wait(0);
  const auto target = Target::open(tid);
  leave = true;
  leave.notify_one();
  thread.join();
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().kind, ErrorKind::kUsage);
  EXPECT_NE(target.error().hint.find(std::to_string(::getpid())), std::string::npos);
}

TEST(TargetTest, RefusesWhatIsNoProgram) {
  EXPECT_EQ(Target::open(0).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(Target::open(-5).error().kind, ErrorKind::kUsage);
  const auto threads = proc::ProcFs().stat(2);
  if (threads && threads->kernel_thread()) {  // not to be seen from inside a container
    const auto kernel = Target::open(2);
    EXPECT_EQ(kernel.error().kind, ErrorKind::kUnsupported);
    EXPECT_NE(kernel.error().message.find("kernel thread"), std::string::npos);
  }
}

TEST(TargetTest, RefusesA32BitProgramByName) {
  // The identity comes from the kernel; the file's class from the link's file: a fake root can name any file.
  const TempDir dir;
  const Child child(kSleep, {"1000"});
  const proc::ProcFs real;
  const std::string pid = std::to_string(child.pid());
  for (const char* file : {"stat", "status", "cgroup"}) {
    dir.write(pid + "/" + file, *proc::read_file(real.path(child.pid(), file)));
  }
  dir.write("prog32", std::string_view("\177ELF\1\1\1\0\0\0\0\0\0\0\0\0", 16));
  dir.link(pid + "/exe", dir.file("prog32"));
  const auto target = Target::open(child.pid(), proc::ProcFs(dir.path()));
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().kind, ErrorKind::kUnsupported);
  EXPECT_NE(target.error().message.find("32-bit"), std::string::npos);
}

/// Forks a child under the number `pid`, which must be free; -1 without the privilege.
pid_t fork_as(pid_t pid) {
  clone_args args = {};
  args.exit_signal = SIGCHLD;
  args.set_tid = reinterpret_cast<std::uint64_t>(&pid);
  args.set_tid_size = 1;
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
}

TEST(TargetTest, AReusedPidIsNotTheProcess) {
  Child child(kSleep, {"1000"});
  const int pid = child.pid();
  const auto target = Target::open(pid);
  ASSERT_TRUE(target);
  child.kill_and_wait();
  const pid_t second = fork_as(pid);
  if (second == 0) {
    ::execl(kSleep.c_str(), "sleep", "1000", nullptr);
    ::_exit(127);
  }
  if (second < 0 && errno == EPERM) {
    GTEST_SKIP() << "needs root to choose a PID";
  }
  ASSERT_EQ(second, pid);
  // Number and program are the same again, the process is not.
  EXPECT_FALSE(target->alive());
  EXPECT_FALSE(target->same_exe());
  EXPECT_EQ(target->check().error().kind, ErrorKind::kGone);
  EXPECT_EQ(ProcessMemory::open(*target).error().kind, ErrorKind::kGone);
  EXPECT_TRUE(Target::open(pid));
  ::kill(second, SIGKILL);
  ::waitpid(second, nullptr, 0);
}

TEST(TargetTest, WithoutPermissionSaysSo) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root to become somebody else";
  }
  const Child child(kSleep, {"1000"});
  const pid_t other = ::fork();
  if (other == 0) {
    const bool dropped = ::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0;
    const auto target = Target::open(child.pid());
    ::_exit(dropped && !target && target.error().kind == ErrorKind::kPermission &&
                    target.error().hint.find("root") != std::string::npos
                ? 0
                : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0);
}

TEST(ProcessMemoryTest, ReadsTheProcessAndNoOtherAfterAnExec) {
  const Child child(kSleep, {"1000"});
  const auto target = Target::open(child.pid());
  ASSERT_TRUE(target);
  const auto memory = ProcessMemory::open(*target);
  ASSERT_TRUE(memory) << memory.error().message;
  const auto maps = proc::ProcFs().maps(child.pid());
  ASSERT_TRUE(maps);
  std::uint8_t magic[4] = {};
  EXPECT_TRUE(memory->read(maps->front().start, magic));
  EXPECT_EQ(std::string(magic, magic + 4), "\177ELF");
  std::uint8_t byte[1];
  EXPECT_FALSE(memory->read(0, byte));
  EXPECT_FALSE(memory->read(UINT64_MAX - 4, magic));
  child.kill_only();
  EXPECT_FALSE(memory->read(maps->front().start, magic));
  EXPECT_EQ(ProcessMemory::open(*target).error().kind, ErrorKind::kGone);
}

proc::MapEntry mapping(std::uint64_t start, std::uint64_t end, std::uint64_t offset, std::uint64_t inode,
                       const std::string& path, bool executable = true) {
  proc::MapEntry entry;
  entry.start = start;
  entry.end = end;
  entry.offset = offset;
  entry.inode = inode;
  entry.path = path;
  entry.executable = executable;
  return entry;
}

constexpr TextAnchor kAnchor{0x2040, 0x1040};  // as a PIE whose text is at address 0x2000, offset 0x1000

TEST(LoadBias, FromTheMappingOfTheText) {
  const std::vector<proc::MapEntry> maps = {
      mapping(0x5000'0000, 0x5000'1000, 0, 7, "/prog", false),
      mapping(0x5000'2000, 0x5000'4000, 0x1000, 7, "/prog"),
      mapping(0x7000'0000, 0x7000'4000, 0x1000, 8, "/lib"),
  };
  EXPECT_EQ(find_load_bias(maps, {7, "/prog"}, kAnchor, 0).value(), 0x5000'0000U);
  // A layered file system shows another inode in maps, with the same path.
  EXPECT_EQ(find_load_bias(maps, {99, "/prog"}, kAnchor, 0).value(), 0x5000'0000U);
  EXPECT_FALSE(find_load_bias(maps, {99, "/other"}, kAnchor, 0));
  EXPECT_EQ(find_load_bias({}, {7, "/prog"}, kAnchor, 0).error().kind, ErrorKind::kUnsupported);
}

TEST(LoadBias, NotPositionIndependentIsZero) {
  EXPECT_EQ(
      find_load_bias({mapping(0x401000, 0x500000, 0x1000, 7, "/prog (deleted)")}, {99, "/prog"}, {0x401040, 0x1040}, 0)
          .value(),
      0U);
}

TEST(LoadBias, OfTwoMappingsTheOneThatRuns) {
  const std::vector<proc::MapEntry> maps = {
      mapping(0x1000'2000, 0x1000'4000, 0x1000, 7, "/prog"),  // the process looks at its own file
      mapping(0x5000'2000, 0x5000'4000, 0x1000, 7, "/prog"),
  };
  EXPECT_EQ(find_load_bias(maps, {7, "/prog"}, kAnchor, 0x5000'2abc).value(), 0x5000'0000U);
  EXPECT_EQ(find_load_bias(maps, {7, "/prog"}, kAnchor, 0).value(), 0x1000'0000U);
}

TEST(LoadBias, OnlyAMappingThatHoldsTheAnchor) {
  EXPECT_FALSE(find_load_bias({mapping(0x1000, 0x2000, 0x2000, 7, "/prog")}, {7, "/prog"}, kAnchor, 0));
  EXPECT_FALSE(find_load_bias({mapping(0x1000, 0x1020, 0x1000, 7, "/prog")}, {7, "/prog"}, kAnchor, 0));
  EXPECT_FALSE(find_load_bias({mapping(0x1000, 0x3000, 0x1000, 0, "/prog")}, {7, "/prog"}, kAnchor, 0));
}

}  // namespace
}  // namespace mapwatch::attach
