#include "alert/retry.h"

#include <gtest/gtest.h>

namespace mapwatch::alert {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(Backoff, DoublesUpToItsMostAndLeavesHalfToChance) {
  const Backoff backoff{kSecond, 300 * kSecond};
  std::uint64_t whole = kSecond;
  for (unsigned failures = 1; failures < 100; ++failures) {
    EXPECT_EQ(backoff.delay_ns(failures, 0), whole / 2) << failures;
    EXPECT_GT(backoff.delay_ns(failures, 0.999), whole / 10 * 9);
    EXPECT_LE(backoff.delay_ns(failures, 0.999), whole);
    whole = std::min(2 * whole, 300 * kSecond);
  }
}

TEST(RetryAfter, SecondsOrADate) {
  // date -u -d 'Wed, 21 Oct 2026 07:28:00 GMT' +%s
  constexpr std::int64_t kThen = 1'792'567'680'000'000'000;
  constexpr const char* kDate = "Wed, 21 Oct 2026 07:28:00 GMT";
  EXPECT_EQ(parse_retry_after("120", kThen).value_or(1), 120 * kSecond);
  EXPECT_EQ(parse_retry_after("0", kThen).value_or(1), 0u);
  EXPECT_EQ(parse_retry_after(kDate, kThen - 90 * static_cast<std::int64_t>(kSecond)).value_or(1), 90 * kSecond);
  EXPECT_EQ(parse_retry_after(kDate, kThen + 1).value_or(1), 0u) << "it is over";
  EXPECT_EQ(parse_retry_after(kDate, 0).value_or(1), kMostRetryAfterNs) << "a clock that was never set";
  EXPECT_EQ(parse_retry_after("99999999999999999999999", kThen).value_or(1), kMostRetryAfterNs);
  for (const char* text : {"", "-1", "1.5", "soon", "12 s", " 5", "0x10", "20261021"}) {
    const auto parsed = parse_retry_after(text, kThen);
    EXPECT_TRUE(!parsed || std::string_view(text) == "20261021") << text;
  }
  EXPECT_FALSE(parse_retry_after(std::string(100, '9'), kThen)) << "no header of a receiver that is well";
}

TEST(Judge, OnlyTheBodysOwnFaultGivesItUp) {
  for (const long status : {200L, 201L, 202L, 204L, 299L}) {
    EXPECT_EQ(judge(status), Verdict::kDelivered) << status;
  }
  for (const long status : {400L, 413L, 415L, 422L}) {
    EXPECT_EQ(judge(status), Verdict::kRefused) << status;
  }
  for (const long status :
       {0L, 100L, 301L, 302L, 307L, 401L, 403L, 404L, 405L, 408L, 409L, 425L, 429L, 500L, 502L, 503L, 504L, 599L}) {
    EXPECT_EQ(judge(status), Verdict::kRetry) << status;
  }
}

}  // namespace
}  // namespace mapwatch::alert
