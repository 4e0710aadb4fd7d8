#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <fstream>

#include "base/temp_dir.h"
#include "ops/history.h"

namespace mapwatch::ops {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;

class HistoryTest : public testing::Test {
 protected:
  std::string path() const { return dir_.path() + "/history.db"; }
  History created() const {
    auto history = History::create(path());
    EXPECT_TRUE(history) << history.error().message;
    return std::move(*history);
  }
  static Objective objective(Source source, const std::string& exe = "") {
    Objective result;
    result.source = source;
    result.exe = exe;
    return result;
  }
  static double value(const History& history, const Objective& objective, std::uint64_t span_s,
                      std::int64_t now_s = kNow) {
    const auto read = history.value(objective, span_s, now_s);
    EXPECT_TRUE(read) << read.error().message;
    EXPECT_TRUE(*read);
    return read && *read ? **read : -1;
  }

  test::TempDir dir_;
};

TEST_F(HistoryTest, SumsOverTheSpanAndTheExecutables) {
  History history = created();
  ASSERT_TRUE(history.add(kNow - 7'200, {{"/a", 60, 30, 1, 0.01}}));
  ASSERT_TRUE(history.add(kNow - 60, {{"/a", 60, 6, 0, 0.002}, {"/b", 180, 0, 2, 0.02}}));
  ASSERT_TRUE(history.add(kNow, {{"/a", 60, 0, 0, 0.004}}));
  EXPECT_DOUBLE_EQ(value(history, objective(Source::kHazards), 3'600), 6.0 / 300);
  EXPECT_DOUBLE_EQ(value(history, objective(Source::kHazards, "/a"), 3'600), 6.0 / 120);
  EXPECT_DOUBLE_EQ(value(history, objective(Source::kHazards, "/a"), 86'400), 36.0 / 180);
  EXPECT_DOUBLE_EQ(value(history, objective(Source::kCrashes, "/[!a]"), 3'600), 86'400 * 2.0 / 180);
  EXPECT_DOUBLE_EQ(value(history, objective(Source::kOverhead, "/a"), 3'600), 0.003) << "the mean over time";
  EXPECT_DOUBLE_EQ(value(history, objective(Source::kOverhead), 3'600), 0.02) << "of the dearest";
}

TEST_F(HistoryTest, NothingWatchedIsNoValue) {
  History history = created();
  const auto none = history.value(objective(Source::kHazards), 3'600, kNow);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  ASSERT_TRUE(history.add(kNow, {{"/a", 60, 0, 0, 0}}));
  EXPECT_FALSE(*history.value(objective(Source::kRatio), 3'600, kNow)) << "only a Prometheus knows";
  EXPECT_FALSE(*history.value(objective(Source::kHazards, "/b"), 3'600, kNow));
}

TEST_F(HistoryTest, IsReadableByItsOwnerOnly) {
  const History history = created();
  struct stat status = {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(HistoryTest, OldMinutesBecomeHoursAndTheSumsStay) {
  History history = created();
  const std::int64_t old = kNow - 10 * 86'400;
  for (int minute = 0; minute < 300; ++minute) {
    ASSERT_TRUE(history.add(old + 60 * minute, {{"/a", 60, 6, 1, 0.01}}));
  }
  const double before = value(history, objective(Source::kHazards), 30 * 86'400);
  ASSERT_TRUE(history.add(kNow, {{"/a", 60, 6, 1, 0.01}}));  // puts the old ones together
  EXPECT_NEAR(value(history, objective(Source::kHazards), 30 * 86'400), before, 1e-9);
  EXPECT_NEAR(value(history, objective(Source::kCrashes), 30 * 86'400), 86'400.0 / 60, 1e-6);
  EXPECT_NEAR(value(history, objective(Source::kOverhead), 30 * 86'400), 0.01, 1e-9);
  sqlite3* raw = nullptr;
  ASSERT_EQ(::sqlite3_open(path().c_str(), &raw), SQLITE_OK);
  int rows = 0;
  ::sqlite3_exec(
      raw, "SELECT count(*) FROM sample",
      [](void* out, int, char** text, char**) { return *static_cast<int*>(out) = std::atoi(text[0]), 0; }, &rows,
      nullptr);
  ::sqlite3_close(raw);
  EXPECT_LE(rows, 7);
}

TEST_F(HistoryTest, AClockThatIsSetBackLosesNothing) {
  History history = created();
  ASSERT_TRUE(history.add(kNow, {{"/a", 60, 6, 0, 0}}));
  ASSERT_TRUE(history.add(kNow, {{"/a", 60, 0, 1, 0}}));  // the same minute once more
  EXPECT_DOUBLE_EQ(value(history, objective(Source::kHazards), 3'600), 6.0 / 120);
  EXPECT_DOUBLE_EQ(value(history, objective(Source::kCrashes), 3'600), 86'400.0 / 120);
}

TEST_F(HistoryTest, ALockIsAnErrorAndNothingIsHalfWritten) {
  History history = created();
  sqlite3* other = nullptr;
  ASSERT_EQ(::sqlite3_open(path().c_str(), &other), SQLITE_OK);
  ASSERT_EQ(::sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto locked = history.add(kNow, {{"/a", 60, 0, 0, 0}, {"/b", 60, 0, 0, 0}});
  ASSERT_FALSE(locked);
  EXPECT_NE(locked.error().message.find("locked"), std::string::npos) << locked.error().message;
  const auto reader = History::open(path());
  ASSERT_TRUE(reader) << "readers are not kept waiting";
  EXPECT_FALSE(*reader->value(objective(Source::kHazards), 3'600, kNow));
  ::sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr);
  ::sqlite3_close(other);
  EXPECT_TRUE(history.add(kNow, {{"/a", 60, 0, 0, 0}}));
}

TEST_F(HistoryTest, WhatIsNoHistoryIsRefused) {
  EXPECT_FALSE(History::open(path()));
  EXPECT_FALSE(History::create(dir_.path() + "/none/history.db"));
  std::ofstream(path()) << std::string(8192, 'x');
  EXPECT_FALSE(History::create(path()));
  const auto opened = History::open(path());
  EXPECT_FALSE(opened && opened->value(objective(Source::kHazards), 3'600, kNow));
}

}  // namespace
}  // namespace mapwatch::ops
