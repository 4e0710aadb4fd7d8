#include "cli/values.h"

#include <gtest/gtest.h>

namespace mapwatch::cli {
namespace {

TEST(Duration, UnitsFractionsAndSums) {
  EXPECT_EQ(parse_duration("30s").value(), 30'000'000'000u);
  EXPECT_EQ(parse_duration("200us").value(), 200'000u);
  EXPECT_EQ(parse_duration("1m").value(), 60'000'000'000u);
  EXPECT_EQ(parse_duration("10ms").value(), 10'000'000u);
  EXPECT_EQ(parse_duration("7ns").value(), 7u);
  EXPECT_EQ(parse_duration("2h").value(), 7'200'000'000'000u);
  EXPECT_EQ(parse_duration("1.5s").value(), 1'500'000'000u);
  EXPECT_EQ(parse_duration("1m30s").value(), 90'000'000'000u);
  EXPECT_EQ(parse_duration("0").value(), 0u);
}

TEST(Duration, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "30", "s", "-1s", "1.s", "30 s", "1d", "30sec", "1s5", "nan", "0x10s",
                           "18446744073709551616ns", "99999999999999h", "5124095h5124095h"}) {
    const auto result = parse_duration(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
    EXPECT_FALSE(result.error().hint.empty());
  }
}

TEST(Size, BinaryUnits) {
  EXPECT_EQ(parse_size("8M").value(), 8u << 20);
  EXPECT_EQ(parse_size("8MiB").value(), 8u << 20);
  EXPECT_EQ(parse_size("64K").value(), 64u << 10);
  EXPECT_EQ(parse_size("1G").value(), 1u << 30);
  EXPECT_EQ(parse_size("0.5k").value(), 512u);
  EXPECT_EQ(parse_size("4096").value(), 4096u);
  EXPECT_EQ(parse_size("4096B").value(), 4096u);
  for (const char* text : {"", "M", "-8M", "8X", "8Mx", "8 M", "99999999999G"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Percent, NeedsItsSign) {
  EXPECT_DOUBLE_EQ(parse_percent("1%").value(), 0.01);
  EXPECT_DOUBLE_EQ(parse_percent("0.5%").value(), 0.005);
  EXPECT_DOUBLE_EQ(parse_percent("100%").value(), 1);
  for (const char* text : {"", "1", "0.01", "%", "-1%", "1%%", "one%"}) {
    EXPECT_FALSE(parse_percent(text)) << text;
  }
}

TEST(Number, StaysInItsRange) {
  EXPECT_EQ(parse_number("66", 0, 255).value(), 66u);
  for (const char* text : {"", "256", "-1", "+1", "1.0", "0x1", "1 ", "a"}) {
    EXPECT_FALSE(parse_number(text, 0, 255)) << text;
  }
  EXPECT_FALSE(parse_number("0", 1, 9));
}

TEST(Bool, WordsAndDigits) {
  EXPECT_TRUE(parse_bool("true").value());
  EXPECT_TRUE(parse_bool("1").value());
  EXPECT_FALSE(parse_bool("no").value());
  EXPECT_FALSE(parse_bool("on"));
}

}  // namespace
}  // namespace mapwatch::cli
