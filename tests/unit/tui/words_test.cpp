#include "tui/words.h"

#include <cmath>

#include <gtest/gtest.h>

namespace mapwatch::tui {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(Words, CountsInFewCells) {
  EXPECT_EQ(short_count(0), "0");
  EXPECT_EQ(short_count(0.31), "0.3");
  EXPECT_EQ(short_count(4), "4");
  EXPECT_EQ(short_count(42.4), "42");
  EXPECT_EQ(short_count(999.4), "999");
  EXPECT_EQ(short_count(999.6), "1.0k");
  EXPECT_EQ(short_count(9000), "9.0k");
  EXPECT_EQ(short_count(12'400), "12k");
  EXPECT_EQ(short_count(812'000), "812k");
  EXPECT_EQ(short_count(999'900), "1.0M");
  EXPECT_EQ(short_count(1.2e9), "1.2G");
  EXPECT_EQ(short_count(std::nan("")), "0");
  EXPECT_EQ(short_count(std::nullopt, true), "-");
  EXPECT_EQ(short_count(9000, true), "~9.0k");
}

TEST(Words, Percents) {
  EXPECT_EQ(percent(0), "0");
  EXPECT_EQ(percent(0.00001), "<0.01");
  EXPECT_EQ(percent(0.0004), "0.04");
  EXPECT_EQ(percent(0.011), "1.1");
  EXPECT_EQ(percent(0.01), "1.0");
  EXPECT_EQ(percent(0.974), "97");
  EXPECT_EQ(percent(1), "100");
}

TEST(Words, Times) {
  EXPECT_EQ(short_time(3 * kSecond), "3s");
  EXPECT_EQ(short_time(61 * kSecond), "1m");
  EXPECT_EQ(short_time(7'440 * kSecond), "2h04m");
  EXPECT_EQ(short_time((2 * 86'400 + 4 * 3'600) * kSecond), "2d04h");
  EXPECT_EQ(detection_text(std::nullopt), "-");
  EXPECT_EQ(detection_text(kNever), "never");
  EXPECT_EQ(detection_text(1'800'000'000), "1.8s");
}

TEST(Words, Places) {
  EXPECT_EQ(place_text("main.(*cache).put", "/srv/app/cache.go", 7), "main.(*cache).put cache.go:7");
  EXPECT_EQ(place_text("main.put", "", 0), "main.put");
  EXPECT_EQ(place_text("", "cache.go", 7), "?");
}

}  // namespace
}  // namespace mapwatch::tui
