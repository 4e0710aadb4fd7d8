#include "base/job.h"

#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace mapwatch::proc {
namespace {

TEST(ParseJob, FieldsBehindAnyName) {
  const auto job = parse_job("42 (a) S 7 (x) R 7 42 7 34816 42 4194304 1 2\n");
  ASSERT_TRUE(job);
  EXPECT_EQ(job->ppid, 7);
  EXPECT_EQ(job->group, 42);
  EXPECT_EQ(job->session, 7);
  EXPECT_EQ(job->terminal, 34816);
  EXPECT_EQ(job->foreground_group, 42);
  EXPECT_EQ(parse_job("42 (a) S 1 42 42 0 -1 4194304 \n")->foreground_group, -1);
  for (const char* bad :
       {"", "42", "42 (a)", "42 (a) S", "42 (a) S 1 2 3", "42 (a) S 1 2 3 x 5 6", "42 (a) S 1 2 3 4 5"}) {
    EXPECT_FALSE(parse_job(bad)) << bad;
  }
}

class ForegroundJob : public ::testing::Test {
 protected:
  bool with(const std::string& child, const std::string& parent) {
    dir.write("42/stat", "42 (server) S " + child + " 4194304 1\n");
    dir.write("7/stat", "7 (bash) S " + parent + " 4194304 1\n");
    return is_foreground_job(42, ProcFs(dir.path()));
  }
  test::TempDir dir;
};

TEST_F(ForegroundJob, OfAShellWithJobControl) { EXPECT_TRUE(with("7 42 7 34816 42", "1 7 7 34816 42")); }
TEST_F(ForegroundJob, OfAProgramThatPassesStopsOnToTheShell) {
  // bash (3) has started runuser (7), and that the server: one group, in the foreground.
  dir.write("3/stat", "3 (bash) S 1 3 3 34816 7 4194304 1\n");
  dir.write("7/comm", "runuser\n");
  EXPECT_TRUE(with("7 7 3 34816 7", "3 7 3 34816 7"));
  // script (7) has given the server a terminal and a session of its own.
  dir.write("7/comm", "script\n");
  EXPECT_TRUE(with("7 42 42 34817 42", "3 7 3 34816 7"));
  // In the background nobody waits for it.
  dir.write("3/stat", "3 (bash) S 1 3 3 34816 3 4194304 1\n");
  EXPECT_FALSE(with("7 7 3 34816 3", "3 7 3 34816 3"));
  // No terminal: a service.
  dir.write("3/stat", "3 (init) S 1 3 3 0 -1 4194304 1\n");
  EXPECT_FALSE(with("7 7 3 0 -1", "3 7 3 0 -1"));
}
TEST_F(ForegroundJob, NotInTheBackground) { EXPECT_FALSE(with("7 42 7 34816 7", "1 7 7 34816 7")); }
TEST_F(ForegroundJob, NotWithoutATerminal) { EXPECT_FALSE(with("7 42 7 0 -1", "1 7 7 0 -1")); }
TEST_F(ForegroundJob, NotOfAScript) { EXPECT_FALSE(with("7 7 3 34816 7", "3 7 3 34816 7")); }
TEST_F(ForegroundJob, NotTheFirstProcessOfAContainersTerminal) { EXPECT_FALSE(with("7 42 42 34816 42", "1 7 7 0 -1")); }
TEST_F(ForegroundJob, NotOfAProcessThatIsGone) { EXPECT_FALSE(is_foreground_job(42, ProcFs(dir.path()))); }

}  // namespace
}  // namespace mapwatch::proc
