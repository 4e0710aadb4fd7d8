#include "base/run_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/unique_fd.h"

namespace mapwatch {
namespace {

constexpr std::chrono::milliseconds kLong(60'000);

Result<ProgramOutput> shell(const std::string& script, std::size_t limit = 1 << 20,
                            std::chrono::milliseconds bound = kLong) {
  return run_program({"/bin/sh", "-c", script}, limit, bound);
}

TEST(RunProgram, ItsOutputAndNothingElse) {
  const auto output = shell("cat; echo \"$1\" seen; echo hidden >&2; exit 3");
  ASSERT_TRUE(output);
  EXPECT_EQ(output->text, " seen\n");
  EXPECT_FALSE(output->cut);
}

TEST(RunProgram, AnEnvironmentOfItsOwn) {
  ::setenv("MAPWATCH_TEST", "x", 1);
  EXPECT_EQ(shell("echo $MAPWATCH_TEST $LC_ALL").value().text, "C\n");
  ::unsetenv("MAPWATCH_TEST");
}

TEST(RunProgram, NoneOfOurDescriptorsAndSignals) {
  const UniqueFd kept(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(shell("ls /proc/self/fd | wc -l").value().text, "4\n") << "0, 1, 2 and the directory";
  EXPECT_EQ(shell("grep SigBlk /proc/self/status").value().text, "SigBlk:\t0000000000000000\n");
}

TEST(RunProgram, WhoHasTooMuchToSayIsKilled) {
  const auto output = shell("while :; do echo 0123456789; done", 100);
  ASSERT_TRUE(output);
  EXPECT_TRUE(output->cut);
  EXPECT_EQ(output->text.size(), 100u);
}

TEST(RunProgram, WhoTakesTooLongIsKilled) {
  const auto output = shell("echo begun; exec sleep 1000", 1000, std::chrono::milliseconds(300));
  ASSERT_TRUE(output);
  EXPECT_TRUE(output->cut);
  EXPECT_TRUE(output->text == "begun\n" || output->text.empty());
}

TEST(RunProgram, WhatIsNotThereIsAnError) {
  const auto output = run_program({"/no/such/program"}, 100, kLong);
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().message, "cannot run /no/such/program: No such file or directory");
}

}  // namespace
}  // namespace mapwatch
