#include "app/go_process.h"

#include <gtest/gtest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "app/gofmt.h"
#include "attach/target_lock.h"

namespace mapwatch::app {
namespace {

GoProcess orders() {
  GoProcess process;
  process.pid = 4211;
  process.ns_pid = 1;
  process.uid = 1000;
  process.comm = "orders";
  process.exe = "/srv/app/orders";
  process.go = "go1.26.8";
  process.main_path = "example.com/orders";
  process.build_id = "3f9c0a1e";
  process.build = elf::BuildTraits{.stripped = true, .pie = true, .cgo = true};
  process.watchable = true;
  return process;
}

GoProcess legacy() {
  GoProcess process;
  process.pid = 7;
  process.comm = "old\x1b[2J";
  process.exe = "/srv/\x1b[2Jold";
  process.go = "go1.16.15";
  process.reason = "Go 1.16 is older than 1.17";
  return process;
}

TEST(Ls, TableFitsItsContents) {
  GoProcess one_cpu = orders();
  one_cpu.build = elf::BuildTraits{};
  one_cpu.go = "unverified go1.99";
  one_cpu.reason = "mark only: it can use one CPU";
  EXPECT_EQ(listing_text({legacy(), orders(), one_cpu}),
            " PID  GO                 BUILD             EXE              WATCHABLE\n"
            "   7  go1.16.15          -                 /srv/\\x1b[2Jold  no: Go 1.16 is older than 1.17\n"
            "4211  go1.26.8           stripped,PIE,cgo  /srv/app/orders  yes\n"
            "4211  unverified go1.99  plain             /srv/app/orders  yes, mark only: it can use one CPU\n");
  EXPECT_EQ(listing_text({}), "no Go processes\n");
}

TEST(Ls, JsonIsOneObjectALine) {
  const std::string text = listing_json({orders(), legacy()});
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(
      text.substr(0, text.find('\n')),
      R"({"schema_version":1,"kind":"process","pid":4211,"ns_pid":1,"uid":1000,"comm":"orders","exe":"/srv/app/orders",)"
      R"("go":"go1.26.8","unverified":false,"main":"example.com/orders","build_id":"3f9c0a1e","build":{"stripped":true,)"
      R"("pie":true,"cgo":true,"dwarf":false,"race":false},"watchable":true,"mark_only":false,"reason":null})");
  const auto second = nlohmann::json::parse(text.substr(text.find('\n') + 1));
  EXPECT_EQ(second["exe"], "/srv/\x1b[2Jold");
  EXPECT_TRUE(second["build"].is_null());
  EXPECT_FALSE(second["watchable"]);
  EXPECT_TRUE(listing_json({}).empty());
}

TEST(Ls, JsonSurvivesBytesThatAreNoUtf8) {
  GoProcess process = orders();
  process.comm = "a\xff";
  EXPECT_TRUE(nlohmann::json::accept(listing_json({process})));
}

class GoProgram : public testing::Test {
 protected:
  void SetUp() override {
    gofmt_ = test::find_gofmt();
    if (gofmt_.empty()) {
      GTEST_SKIP() << "no gofmt on this machine";
    }
    int input[2];
    ASSERT_EQ(::pipe2(input, O_CLOEXEC), 0);
    int started[2];  // closes at exec
    ASSERT_EQ(::pipe2(started, O_CLOEXEC), 0);
    pid_ = ::fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      ::dup2(input[0], STDIN_FILENO);
      ::execl(gofmt_.c_str(), "gofmt", nullptr);
      ::_exit(127);
    }
    ::close(input[0]);
    ::close(started[1]);
    write_end_ = input[1];
    char none = 0;
    ASSERT_EQ(::read(started[0], &none, 1), 0);
    ::close(started[0]);
  }
  void TearDown() override {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      ::close(write_end_);
    }
  }
  std::optional<GoProcess> listed(const ListOptions& options) {
    const auto listing = list_go_processes(proc::ProcFs(), options);
    EXPECT_TRUE(listing);
    for (const GoProcess& process : listing->processes) {
      if (process.pid == pid_) {
        return process;
      }
    }
    return std::nullopt;
  }

  std::string gofmt_;
  pid_t pid_ = -1;
  int write_end_ = -1;
};

TEST_F(GoProgram, IsListedWithItsVersionAndPath) {
  const auto process = listed({});
  ASSERT_TRUE(process);
  EXPECT_TRUE(process->go.find("go1.") != std::string::npos) << process->go;
  EXPECT_EQ(process->exe, gofmt_);
  EXPECT_EQ(process->comm, "gofmt");
  EXPECT_EQ(process->uid, ::getuid());
  EXPECT_TRUE(process->build);
  EXPECT_TRUE(process->watchable) << process->reason;
}

TEST_F(GoProgram, IsLeftOutWhenItIsAnotherUsersOrMapwatchItself) {
  EXPECT_TRUE(listed({.only_user = ::getuid()}));
  EXPECT_FALSE(listed({.only_user = ::getuid() + 1}));
  EXPECT_FALSE(listed({.self = pid_}));
}

TEST_F(GoProgram, ThatIsWatchedAlreadySaysByWhom) {
  const std::string run_dir = testing::TempDir() + "ls_test_run";
  const auto stat = proc::ProcFs().stat(pid_);
  ASSERT_TRUE(stat);
  {
    const auto lock = attach::TargetLock::acquire(run_dir, pid_, stat->start_time, "mapwatch watch");
    ASSERT_TRUE(lock);
    const auto process = listed({.run_dir = run_dir});
    ASSERT_TRUE(process);
    EXPECT_FALSE(process->watchable);
    EXPECT_EQ(process->reason, "watched already, by pid " + std::to_string(::getpid()) + " (mapwatch watch)");
  }
  EXPECT_TRUE(listed({.run_dir = run_dir})->watchable);
  std::filesystem::remove_all(run_dir);
}

TEST(Ls, TellsHowFarItIs) {
  std::size_t next = 0;
  std::size_t of = 0;
  ListOptions options;
  options.progress = [&](std::size_t done, std::size_t all) {
    EXPECT_EQ(done, next++);
    of = all;
  };
  ASSERT_TRUE(list_go_processes(proc::ProcFs(), options));
  EXPECT_GT(next, 0u);
  EXPECT_EQ(next, of);
}

TEST(Ls, UnreadableProcIsAnError) { EXPECT_FALSE(list_go_processes(proc::ProcFs("/nonexistent"), {})); }

TEST(Ls, ProgramsThatAreNotGoAreLeftOut) {
  const auto listing = list_go_processes(proc::ProcFs(), {});
  ASSERT_TRUE(listing);
  for (const GoProcess& process : listing->processes) {
    EXPECT_NE(process.pid, ::getpid());
  }
}

}  // namespace
}  // namespace mapwatch::app
