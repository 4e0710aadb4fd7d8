#include "app/recent.h"

#include <gtest/gtest.h>

namespace mapwatch::app {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(Recent, CountsTheLastMinuteAndHour) {
  Recent recent;
  const std::uint64_t start = 100'000 * kSecond;
  recent.add(start);
  recent.add(start + 10 * kSecond);
  recent.add(start + 10 * kSecond + 1);
  EXPECT_EQ(recent.last_minute(start + 10 * kSecond), 3u);
  EXPECT_EQ(recent.last_minute(start + 65 * kSecond), 2u);
  EXPECT_EQ(recent.last_minute(start + 80 * kSecond), 0u);
  EXPECT_EQ(recent.last_hour(start + 80 * kSecond), 3u);
  EXPECT_EQ(recent.last_hour(start + 3700 * kSecond), 0u);
}

TEST(Recent, OldEventsDoNotTakeThePlaceOfNewOnes) {
  Recent recent;
  recent.add(120 * kSecond);
  recent.add(60 * kSecond);  // the same place in the ring of seconds
  EXPECT_EQ(recent.last_minute(120 * kSecond), 1u);
  EXPECT_EQ(recent.last_hour(120 * kSecond), 2u);
}

}  // namespace
}  // namespace mapwatch::app
