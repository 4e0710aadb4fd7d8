#include "witness/journal.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/temp_dir.h"

namespace mapwatch::witness {
namespace {

TEST(JournalLine, TimeAndMessage) {
  const auto line = parse_journal_line(
      R"({"_PID":"4211","__MONOTONIC_TIMESTAMP":"5404412899","MESSAGE":"fatal error: concurrent map writes"})");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->received_ns, 5'404'412'899'000u);
  EXPECT_EQ(line->message, "fatal error: concurrent map writes");
}

TEST(JournalLine, BytesThatAreNoText) {
  EXPECT_EQ(parse_journal_line(R"({"__MONOTONIC_TIMESTAMP":"1","MESSAGE":[27,91,255,0]})")->message,
            std::string("\x1b[\xff\0", 4));
}

TEST(JournalLine, AnythingElseIsNone) {
  for (const char* bad :
       {"", "{", "[]", "null", R"({"MESSAGE":"x"})", R"({"__MONOTONIC_TIMESTAMP":"1"})",
        R"({"__MONOTONIC_TIMESTAMP":1,"MESSAGE":"x"})", R"({"__MONOTONIC_TIMESTAMP":"","MESSAGE":"x"})",
        R"({"__MONOTONIC_TIMESTAMP":"1x","MESSAGE":"x"})", R"({"__MONOTONIC_TIMESTAMP":"-1","MESSAGE":"x"})",
        R"({"__MONOTONIC_TIMESTAMP":"18446744073709551615","MESSAGE":"x"})",
        R"({"__MONOTONIC_TIMESTAMP":"1","MESSAGE":null})", R"({"__MONOTONIC_TIMESTAMP":"1","MESSAGE":[256]})",
        R"({"__MONOTONIC_TIMESTAMP":"1","MESSAGE":[-1]})", R"({"__MONOTONIC_TIMESTAMP":"1","MESSAGE":["x"]})"}) {
    EXPECT_FALSE(parse_journal_line(bad)) << bad;
  }
}

class JournalTest : public testing::Test {
 protected:
  /// A journalctl that does this.
  Journal journal(const std::string& script) {
    dir_.write("journalctl", "#!/bin/sh\n" + script + "\n");
    ::chmod(dir_.file("journalctl").c_str(), 0755);
    dir_.write("stdout", "");
    return Journal(dir_.file("journalctl"), dir_.file("stdout"));
  }
  test::TempDir dir_;
};

TEST_F(JournalTest, IsThereWithItsProgramAndItsSocket) {
  EXPECT_TRUE(journal("true").there());
  EXPECT_FALSE(Journal("/no/such", dir_.file("stdout")).there());
  EXPECT_FALSE(Journal(dir_.file("journalctl"), "/no/such").there());
}

TEST_F(JournalTest, AsksForTheProcessSinceThatSecond) {
  const Journal journal = this->journal(R"(printf '{"__MONOTONIC_TIMESTAMP":"1","MESSAGE":"%s"}\n' "$*")");
  const auto lines = journal.lines(4211, 1'795'470'061, std::chrono::milliseconds(60'000));
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->lines.size(), 1u);
  EXPECT_EQ(lines->lines[0].message, "--no-pager -q -b -o json --output-fields=MESSAGE --since=@1795470061 _PID=4211");
}

TEST_F(JournalTest, HalfALineAndWhatIsNoLineAreLeftOut) {
  const Journal journal = this->journal(
      R"(echo; echo '-- No entries --'; echo '{"__MONOTONIC_TIMESTAMP":"7","MESSAGE":"a"}'; printf '{"__MONOT')");
  const auto lines = journal.lines(1, 1, std::chrono::milliseconds(60'000));
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->lines.size(), 1u);
  EXPECT_EQ(lines->lines[0].received_ns, 7000u);
  EXPECT_FALSE(lines->cut);
}

TEST_F(JournalTest, OneThatHangsIsNotWaitedFor) {
  const auto lines = journal("exec sleep 1000").lines(1, 1, std::chrono::milliseconds(100));
  ASSERT_TRUE(lines);
  EXPECT_TRUE(lines->cut);
  EXPECT_TRUE(lines->lines.empty());
}

}  // namespace
}  // namespace mapwatch::witness
