#include "ops/supervisor.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/manual_clock.h"
#include "base/temp_dir.h"
#include "base/unique_fd.h"

namespace mapwatch::ops {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

/// Stands in for the service manager.
class Notified : public testing::Test {
 protected:
  Notified() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    const std::string path = dir_.path() + "/notify";
    sockaddr_un at = {};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof(at.sun_path) - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    clock_.set(100 * kSecond, 0);
  }
  ~Notified() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
      ::unsetenv(name);
    }
  }
  /// The next message; empty: there is none.
  std::string next() {
    char buffer[4096];
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof(buffer), 0);
    return got < 0 ? "" : std::string(buffer, static_cast<std::size_t>(got));
  }

  test::TempDir dir_;
  UniqueFd socket_;
  test::ManualClock clock_;
};

TEST_F(Notified, ToldOfReadinessReloadsAndTheEnd) {
  Supervisor supervisor(clock_);
  supervisor.ready("watching 1");
  EXPECT_EQ(next(), "READY=1\nSTATUS=watching 1");
  supervisor.reloading();
  EXPECT_EQ(next(), "RELOADING=1\nMONOTONIC_USEC=100000000");
  supervisor.stopping();
  EXPECT_TRUE(next().starts_with("STOPPING=1\n"));
  EXPECT_EQ(next(), "");
}

TEST_F(Notified, StatusIsToldWhenItIsNewAndNotTooOften) {
  Supervisor supervisor(clock_);
  supervisor.ready("a");
  next();
  clock_.advance(Supervisor::kStatusNs);
  supervisor.status("a");
  EXPECT_EQ(next(), "");
  supervisor.status("b");
  EXPECT_EQ(next(), "STATUS=b");
  supervisor.status("c");
  EXPECT_EQ(next(), "");
  clock_.advance(Supervisor::kStatusNs);
  supervisor.status("c");
  EXPECT_EQ(next(), "STATUS=c");
}

TEST_F(Notified, TheWatchdogIsFedAtHalfOfItsTime) {
  ::setenv("WATCHDOG_USEC", "10000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  Supervisor supervisor(clock_);
  supervisor.alive();
  EXPECT_EQ(next(), "WATCHDOG=1");
  clock_.advance(5 * kSecond - 1);
  supervisor.alive();
  EXPECT_EQ(next(), "");
  clock_.advance(1);
  supervisor.alive();
  EXPECT_EQ(next(), "WATCHDOG=1");
}

TEST_F(Notified, NobodyIsFedWhoDoesNotWatch) {
  Supervisor supervisor(clock_);
  supervisor.alive();
  EXPECT_EQ(next(), "");
  ::setenv("WATCHDOG_USEC", "10000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getppid()).c_str(), 1);
  Supervisor other(clock_);
  other.alive();
  EXPECT_EQ(next(), "");
}

TEST_F(Notified, WithoutAServiceManagerNothingHappens) {
  ::unsetenv("NOTIFY_SOCKET");
  Supervisor supervisor(clock_);
  supervisor.ready("a");
  supervisor.stopping();
  EXPECT_EQ(next(), "");
}

}  // namespace
}  // namespace mapwatch::ops
