#include "attach/slots.h"

#include <gtest/gtest.h>

namespace mapwatch::attach {
namespace {

TEST(Slots, EachNumberHasOneOwner) {
  Slots slots(3, 6);
  EXPECT_EQ(slots.take(), 3u);
  EXPECT_EQ(slots.take(), 4u);
  EXPECT_EQ(slots.take(), 5u);
  EXPECT_FALSE(slots.take());
}

TEST(Slots, TheOneThatWasFreeForLongestComesFirst) {
  Slots slots(0, 3);
  slots.take();
  slots.take();
  slots.give_back(1);
  EXPECT_EQ(slots.take(), 2u);
  slots.give_back(0);
  EXPECT_EQ(slots.take(), 1u);
  EXPECT_EQ(slots.take(), 0u);
  EXPECT_FALSE(slots.take());
}

}  // namespace
}  // namespace mapwatch::attach
