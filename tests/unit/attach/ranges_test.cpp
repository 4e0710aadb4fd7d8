#include "attach/ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace mapwatch::attach {
namespace {

TEST(Ranges, InARowAndNoMoreThanThereAre) {
  Ranges ranges(10, 20);
  EXPECT_EQ(ranges.take(6), 10u);
  EXPECT_EQ(ranges.take(4), 16u);
  EXPECT_FALSE(ranges.take(1));
}

TEST(Ranges, WhatWasGivenBackIsTakenLast) {
  Ranges ranges(0, 10);
  EXPECT_EQ(ranges.take(4), 0u);
  ranges.give_back(0, 4);
  EXPECT_EQ(ranges.take(4), 4u);
  EXPECT_EQ(ranges.take(4), 0u);
}

TEST(Ranges, NeighboursGrowTogether) {
  Ranges ranges(0, 9);
  ASSERT_EQ(ranges.take(3), 0u);
  ASSERT_EQ(ranges.take(3), 3u);
  ASSERT_EQ(ranges.take(3), 6u);
  ranges.give_back(0, 3);
  ranges.give_back(6, 3);
  EXPECT_FALSE(ranges.take(4));
  ranges.give_back(3, 3);
  EXPECT_EQ(ranges.take(9), 0u);
}

TEST(Ranges, NoNumberHasTwoOwners) {
  Ranges ranges(0, 64);
  std::vector<int> owners(64, 0);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> taken;
  std::mt19937 random(1);
  for (int step = 0; step < 5000; ++step) {
    if (random() % 2 == 0) {
      const std::uint32_t count = 1 + random() % 9;
      if (const auto first = ranges.take(count)) {
        for (std::uint32_t i = 0; i < count; ++i) {
          ASSERT_EQ(++owners[*first + i], 1);
        }
        taken.emplace_back(*first, count);
      }
    } else if (!taken.empty()) {
      const std::size_t which = random() % taken.size();
      const auto [first, count] = taken[which];
      for (std::uint32_t i = 0; i < count; ++i) {
        --owners[first + i];
      }
      ranges.give_back(first, count);
      taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  for (const auto& [first, count] : taken) {
    ranges.give_back(first, count);
  }
  EXPECT_TRUE(ranges.take(64));
}

TEST(Ranges, FitsIsWhatTakeWouldGive) {
  Ranges ranges(0, 10);
  EXPECT_TRUE(ranges.fits(10));
  EXPECT_FALSE(ranges.fits(11));
  const auto first = ranges.take(4);
  const auto second = ranges.take(3);
  ASSERT_TRUE(first && second);
  ranges.give_back(*first, 4);
  EXPECT_TRUE(ranges.fits(4));
  EXPECT_FALSE(ranges.fits(5));  // 4 and 3 are free, not in a row
  EXPECT_FALSE(ranges.take(5));
}

}  // namespace
}  // namespace mapwatch::attach
