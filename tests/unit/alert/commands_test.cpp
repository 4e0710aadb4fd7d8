#include "alert/commands.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace mapwatch::alert {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kLong = 60 * kSecond;

class CommandsTest : public testing::Test {
 protected:
  CommandsTest() { options_.limit_ns = kLong; }

  /// With the folder of the test as $1.
  void script(const std::string& text) { options_.command = {"/bin/sh", "-c", text, "sh", dir_.path()}; }
  std::unique_ptr<Commands> start() {
    auto commands = Commands::start(options_, clock_);
    EXPECT_TRUE(commands);
    return std::move(*commands);
  }
  Commands::Counts run(int times = 1, const std::string& text = "{}\n") {
    const auto commands = start();
    for (int i = 0; i < times; ++i) {
      commands->run(text);
    }
    commands->finish();
    return commands->counts();
  }
  std::string read(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(dir_.file(name)).rdbuf();
    return out.str();
  }
  /// The file that a script makes.
  std::string wait_for(const std::string& name) const {
    while (read(name).find('\n') == std::string::npos) {
      std::this_thread::yield();
    }
    return read(name);
  }
  static bool runs(const std::string& pid) {
    std::ifstream stat("/proc/" + std::to_string(std::stoi(pid)) + "/stat");
    std::string line;
    return std::getline(stat, line) && line.find(") Z ") == std::string::npos;
  }

  test::TempDir dir_;
  const SystemClock clock_;
  CommandOptions options_;
};

TEST_F(CommandsTest, TheFindingIsOnStdinWhole) {
  script("cat > \"$1/got\"");
  const std::string text = std::string(3'000'000, 'x') + "\n";  // more than a pipe holds
  EXPECT_EQ(run(1, text).ok, 1u);
  EXPECT_EQ(read("got"), text);
}

TEST_F(CommandsTest, WhoDoesNotReadItIsNoTrouble) {
  options_.command = {"/bin/true"};
  EXPECT_EQ(run(1, std::string(3'000'000, 'x')).ok, 1u);
}

TEST_F(CommandsTest, NoShellHasASay) {
  options_.command = {"/usr/bin/touch", dir_.path() + "/$HOME; touch x"};
  EXPECT_EQ(run().ok, 1u);
  EXPECT_TRUE(std::filesystem::exists(dir_.path() + "/$HOME; touch x"));
}

TEST_F(CommandsTest, EachEndIsCounted) {
  script("exit 3");
  EXPECT_EQ(run(2).failed, 2u);
  script("kill -9 $$");
  EXPECT_EQ(run().failed, 1u);
  options_.command = {"/does/not/exist"};
  EXPECT_EQ(run(3).not_started, 3u);
}

TEST_F(CommandsTest, ANewCommandRunsForWhatHasNotBegun) {
  options_.at_once = 1;
  script("echo > \"$1/began\"; until [ -e \"$1/go\" ]; do sleep 0.01; done; cat >> \"$1/old\"");
  const auto commands = start();
  commands->run("1\n");
  commands->run("2\n");
  wait_for("began");
  script("cat >> \"$1/new\"");
  commands->change(options_);
  dir_.write("go", "");
  commands->run("3\n");
  commands->finish();
  EXPECT_EQ(commands->counts().ok, 3u);
  EXPECT_EQ(read("old"), "1\n");
  EXPECT_EQ(read("new"), "2\n3\n");
}

TEST_F(CommandsTest, AtTheLimitTheWholeGroupIsKilled) {
  options_.limit_ns = kSecond / 2;
  script("sleep 1000 & echo $! > \"$1/pid\"; wait");
  const auto commands = start();
  commands->run("{}\n");
  const std::string pid = wait_for("pid");
  EXPECT_TRUE(runs(pid));
  while (commands->counts().timeout == 0) {
    std::this_thread::yield();
  }
  while (runs(pid)) {  // it was killed; the kernel takes its time
    std::this_thread::yield();
  }
  EXPECT_EQ(commands->counts().ok + commands->counts().failed, 0u);
}

TEST_F(CommandsTest, WhatItLeavesBehindInItsGroupGoesWithIt) {
  script("sleep 1000 > /dev/null 2>&1 & echo $! > \"$1/pid\"; exit 0");
  EXPECT_EQ(run().ok, 1u);
  const std::string pid = read("pid");
  while (runs(pid)) {
    std::this_thread::yield();
  }
}

TEST_F(CommandsTest, SoManyAtOnceAndNoMore) {
  options_.at_once = 2;
  script("mkdir \"$1/a\" 2> /dev/null && d=a || { mkdir \"$1/b\" && d=b; } || exit 9; sleep 0.02; rmdir \"$1/$d\"");
  const auto counts = run(12);
  EXPECT_EQ(counts.ok, 12u) << counts.failed << " found both places taken";
}

TEST_F(CommandsTest, WhatDoesNotFitIsDroppedAndCounted) {
  options_.at_once = 1;
  options_.most_waiting = 2;
  ASSERT_EQ(::mkfifo(dir_.file("gate").c_str(), 0600), 0);
  script("echo > \"$1/began\"; read line < \"$1/gate\"");
  const auto commands = start();
  commands->run("{}\n");
  wait_for("began");
  for (int i = 0; i < 5; ++i) {
    commands->run("{}\n");
  }
  EXPECT_EQ(commands->counts().dropped, 3u);
  for (int i = 0; i < 3; ++i) {
    std::ofstream(dir_.file("gate")) << "go\n";  // opens when one reads
    while (commands->counts().ok <= static_cast<std::uint64_t>(i)) {
      std::this_thread::yield();
    }
  }
  commands->finish();
  EXPECT_EQ(commands->counts().ok, 3u);
}

TEST_F(CommandsTest, TheEndWaitsForOneLimitAtMost) {
  options_.limit_ns = kSecond / 2;
  options_.at_once = 1;
  script("sleep 1000");
  const auto counts = run(3);
  EXPECT_EQ(counts.timeout + counts.dropped, 3u) << "each is told";
  EXPECT_GE(counts.dropped, 1u);
}

TEST_F(CommandsTest, NothingOfOursComesAlong) {
  ::setenv("MAPWATCH_TEST", "x", 1);
  script(
      "env | cut -d= -f1 | sort | tr '\\n' ' ' > \"$1/env\"; ls /proc/self/fd | wc -l > \"$1/fds\"; pwd > \"$1/cwd\";"
      "set -- \"$1\" $(cat /proc/$$/stat); [ \"$6\" = $$ ] && [ \"$7\" = $$ ] && echo own > \"$1/session\"");
  EXPECT_EQ(run().ok, 1u);
  ::unsetenv("MAPWATCH_TEST");
  EXPECT_EQ(read("env"), "LC_ALL PATH PWD ") << "PWD is the shell's";
  EXPECT_EQ(read("fds"), "4\n") << "0, 1, 2 and the folder";
  EXPECT_EQ(read("cwd"), "/\n");
  EXPECT_EQ(read("session"), "own\n");
}

TEST_F(CommandsTest, ItsOutputDoesNotMixWithOurs) {
  script("echo out; echo err >&2");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const auto counts = run(3);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(counts.ok, 3u);
}

TEST_F(CommandsTest, RunsAsItsUserWithoutOurRights) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can become another user";
  }
  const auto user = credentials_for("");
  ASSERT_TRUE(user && *user);
  EXPECT_EQ((*user)->name, "nobody");
  options_.user = *user;
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0777), 0);
  script(
      "id -u > \"$1/uid\"; id -G > \"$1/groups\"; grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | tr -d "
      "'A-Za-z:\\t\\n' > \"$1/caps\"; echo $HOME > \"$1/home\"");
  EXPECT_EQ(run().ok, 1u);
  EXPECT_EQ(read("uid"), std::to_string((*user)->uid) + "\n");
  EXPECT_EQ(read("groups"), std::to_string((*user)->gid) + "\n");
  EXPECT_EQ(read("caps").find_first_not_of('0'), std::string::npos) << read("caps");
  EXPECT_EQ(read("home"), (*user)->home + "\n");
}

TEST(Credentials, OfAUserThatIsThere) {
  const auto root = find_user("root");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->uid, 0u);
  EXPECT_EQ(find_user("0")->name, "root");
  for (const char* user : {"no-such-user-here", "", "4294967290x", "../etc"}) {
    const auto none = find_user(user);
    ASSERT_FALSE(none) << user;
    EXPECT_EQ(none.error().kind, ErrorKind::kUsage) << none.error().message;
  }
}

}  // namespace
}  // namespace mapwatch::alert
