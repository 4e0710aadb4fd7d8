#include "witness/stderr_place.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/temp_dir.h"

namespace mapwatch::witness {
namespace {

TEST(MountId, IsALineOfFdinfo) {
  EXPECT_EQ(parse_mount_id("pos:\t12\nflags:\t0102001\nmnt_id:\t29\nino:\t7\n"), 29);
  for (const char* bad : {"", "mnt_id:", "mnt_id:\tx", "mnt_id:\t99999999999", "xmnt_id:\t1"}) {
    EXPECT_FALSE(parse_mount_id(bad)) << bad;
  }
}

TEST(MountType, StandsBehindTheDash) {
  constexpr const char* kMounts =
      "22 28 0:20 / /proc rw,nosuid - proc proc rw\n"
      "29 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n"
      "229 29 0:5 / /x rw - fuse.sshfs a:/b\\040-\\040c rw\n";
  EXPECT_EQ(mount_type(kMounts, 29), "ext4");
  EXPECT_EQ(mount_type(kMounts, 229), "fuse.sshfs");
  EXPECT_EQ(mount_type(kMounts, 2), "");
  EXPECT_EQ(mount_type("29 1 254:0 / / rw", 29), "");
  EXPECT_EQ(mount_type("29 1 - ", 29), "");
}

class StderrPlaceTest : public testing::Test {
 protected:
  ~StderrPlaceTest() override { end(); }
  void end() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
      child_ = -1;
    }
  }
  /// A process whose descriptor 2 is what `make` gives; -1: none.
  StderrPlace with(const std::function<int()>& make) {
    end();
    int ready[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    child_ = ::fork();
    if (child_ == 0) {
      const int fd = make();
      if (fd < 0) {
        ::close(2);
      } else {
        ::dup2(fd, 2);
      }
      (void)!::write(ready[1], "x", 1);
      for (;;) {
        ::pause();
      }
    }
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    return StderrPlace::of(child_, proc::ProcFs());
  }
  std::string file() const { return dir_.file("log"); }
  void append(const std::string& text) const { std::ofstream(file(), std::ios::app) << text; }

  test::TempDir dir_;
  pid_t child_ = -1;
};

TEST_F(StderrPlaceTest, WhatItIs) {
  EXPECT_EQ(with([] { return -1; }).kind(), StderrKind::kClosed);
  EXPECT_EQ(with([] { return ::open("/dev/null", O_WRONLY); }).kind(), StderrKind::kNull);
  EXPECT_EQ(with([] { return ::open("/dev/zero", O_WRONLY); }).kind(), StderrKind::kOther);
  EXPECT_EQ(with([] { return ::posix_openpt(O_RDWR); }).kind(), StderrKind::kTerminal);
  EXPECT_EQ(with([] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }).kind(), StderrKind::kSocket);
  const StderrPlace pipe = with([] {
    int ends[2];
    return ::pipe(ends) == 0 ? ends[1] : -1;
  });
  EXPECT_EQ(pipe.kind(), StderrKind::kPipe);
  EXPECT_TRUE(pipe.name().starts_with("pipe:[")) << pipe.name();
  EXPECT_FALSE(pipe.growth(10));
  EXPECT_EQ(StderrPlace::of(0x7ffffff0, proc::ProcFs()).kind(), StderrKind::kUnknown) << "no such process";
}

TEST_F(StderrPlaceTest, AFileTellsWhatCameToIt) {
  for (const int append_flag : {0, O_APPEND}) {
    std::filesystem::remove(file());
    append("before ");
    const StderrPlace place = with([&] {
      const int fd = ::open(file().c_str(), O_WRONLY | append_flag);
      ::lseek(fd, 0, SEEK_END);
      return fd;
    });
    ASSERT_EQ(place.kind(), StderrKind::kFile);
    ASSERT_EQ(place.unreadable(), "");
    EXPECT_EQ(place.name(), file());
    EXPECT_EQ(place.growth(100)->bytes, 0);
    append("fatal error: x\n");
    EXPECT_EQ(place.growth(100)->text, "fatal error: x\n");
    EXPECT_EQ(place.growth(5)->text, "fatal");
    EXPECT_EQ(place.growth(5)->bytes, 15);
    std::filesystem::rename(file(), file() + ".1");  // rotated: it is still that file
    EXPECT_EQ(place.growth(100)->bytes, 15);
    std::filesystem::resize_file(file() + ".1", 2);
    EXPECT_EQ(place.growth(100)->bytes, -5);
    EXPECT_EQ(place.growth(100)->text, "");
  }
}

TEST_F(StderrPlaceTest, AFileOfAForeignFileSystemIsNotOpened) {
  const StderrPlace place = with([] { return ::open("/proc/self/comm", O_WRONLY); });
  EXPECT_EQ(place.kind(), StderrKind::kFile);
  EXPECT_EQ(place.unreadable(), "on proc");
  EXPECT_FALSE(place.growth(10));
}

}  // namespace
}  // namespace mapwatch::witness
