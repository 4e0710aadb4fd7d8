#include <gtest/gtest.h>

#include "app/history_writer.h"
#include "base/database.h"
#include "base/temp_dir.h"

namespace mapwatch::app {
namespace {

constexpr double kNow = 1'800'000'000;

metrics::Snapshot snapshot(double time_s, double watched_s, double hazard_s, std::uint64_t crashes) {
  metrics::Snapshot out;
  out.time_s = time_s;
  metrics::Exe exe;
  exe.label = "/srv/a";
  exe.watched_s = watched_s;
  exe.hazard_s = hazard_s;
  exe.crashes[0] = crashes;
  out.exes.push_back(exe);
  return out;
}

class HistoryWriterTest : public testing::Test {
 protected:
  ops::Group group(double now_s) const {
    const auto history = ops::History::open(path_);
    EXPECT_TRUE(history);
    return history ? history->group("", 86'400, static_cast<std::int64_t>(now_s)).value_or(ops::Group{}) : ops::Group{};
  }
  test::TempDir dir_;
  std::string path_ = dir_.path() + "/state/history.db";
};

TEST_F(HistoryWriterTest, WritesWhatTotalsGrewByOnceAMinute) {
  HistoryWriter writer(path_);
  writer.take(snapshot(kNow, 10, 1, 1));
  writer.take(snapshot(kNow + 30, 40, 2, 1));
  EXPECT_DOUBLE_EQ(group(kNow + 30).watched_s, 10) << "not yet";
  writer.take(snapshot(kNow + 60, 70, 5, 3));
  EXPECT_DOUBLE_EQ(group(kNow + 60).watched_s, 70);
  EXPECT_DOUBLE_EQ(group(kNow + 60).hazard_s, 5);
  EXPECT_DOUBLE_EQ(group(kNow + 60).crashes, 3);
  writer.take(snapshot(kNow + 61, 71, 5, 3), true);
  EXPECT_DOUBLE_EQ(group(kNow + 61).watched_s, 71) << "the last one does not wait";
}

TEST_F(HistoryWriterTest, ATotalThatBeganAnewIsNoLoss) {
  HistoryWriter writer(path_);
  writer.take(snapshot(kNow, 100, 0, 2));
  writer.take(snapshot(kNow + 60, 7, 0, 1));
  EXPECT_DOUBLE_EQ(group(kNow + 60).watched_s, 107);
  EXPECT_DOUBLE_EQ(group(kNow + 60).crashes, 3);
}

TEST_F(HistoryWriterTest, WhatCouldNotBeWrittenComesWithTheNextRow) {
  dir_.write("state", "a file where the directory should be");
  HistoryWriter writer(path_);
  writer.take(snapshot(kNow, 10, 0, 1));
  EXPECT_EQ(writer.failed(), 1u);
  std::filesystem::remove(dir_.path() + "/state");
  writer.take(snapshot(kNow + 60, 70, 0, 2));
  EXPECT_DOUBLE_EQ(group(kNow + 60).watched_s, 70);
  EXPECT_DOUBLE_EQ(group(kNow + 60).crashes, 2);
}

/// A burn rate is a sum over spans of the wall clock: none of it may be gone when that is set.
TEST_F(HistoryWriterTest, AClockThatIsSetLosesNothing) {
  constexpr double kSixHours = 21'600;
  HistoryWriter writer(path_);
  writer.take(snapshot(kNow, 10, 0, 0));
  writer.take(snapshot(kNow + kSixHours, 70, 4, 1));  // set forward
  writer.take(snapshot(kNow + 120, 130, 6, 2));       // and back
  EXPECT_DOUBLE_EQ(group(kNow + 120).watched_s, 70) << "a row of a time that is not yet is not asked for";
  writer.take(snapshot(kNow + 60, 131, 6, 2));  // back by a minute
  writer.take(snapshot(kNow + 120, 191, 6, 2));
  const ops::Group all = group(kNow + kSixHours);
  EXPECT_DOUBLE_EQ(all.watched_s, 191);
  EXPECT_DOUBLE_EQ(all.hazard_s, 6);
  EXPECT_DOUBLE_EQ(all.crashes, 2);
  EXPECT_EQ(writer.failed(), 0u);
}

TEST_F(HistoryWriterTest, WhileSomebodyHoldsTheFileNothingIsLost) {
  HistoryWriter writer(path_);
  writer.take(snapshot(kNow, 10, 0, 0));
  {
    const auto other = Database::create(path_);
    ASSERT_TRUE(other);
    ASSERT_TRUE(other->run("BEGIN IMMEDIATE", "lock"));
    writer.take(snapshot(kNow + 60, 70, 2, 1));
    writer.take(snapshot(kNow + 120, 130, 2, 1));
    EXPECT_EQ(writer.failed(), 2u);
    EXPECT_DOUBLE_EQ(group(kNow + 120).watched_s, 10) << "who reads is not kept waiting";
    ASSERT_TRUE(other->run("ROLLBACK", "unlock"));
  }
  writer.take(snapshot(kNow + 180, 190, 3, 1));
  EXPECT_DOUBLE_EQ(group(kNow + 180).watched_s, 190);
  EXPECT_DOUBLE_EQ(group(kNow + 180).hazard_s, 3);
  EXPECT_DOUBLE_EQ(group(kNow + 180).crashes, 1);
}

}  // namespace
}  // namespace mapwatch::app
