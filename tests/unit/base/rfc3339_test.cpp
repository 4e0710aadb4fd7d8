#include "base/rfc3339.h"

#include <gtest/gtest.h>

namespace mapwatch {
namespace {

TEST(Rfc3339, CountsFrom1970InNanoseconds) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(rfc3339(1'795'392'842'118'004'217), "2026-11-23T00:14:02.118004217Z");
  EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(rfc3339(1'709'164'800'000'000'000), "2024-02-29T00:00:00.000000000Z");
}

}  // namespace
}  // namespace mapwatch
