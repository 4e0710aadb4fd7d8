// When to try again what a receiver did not take.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace mapwatch::alert {

struct Backoff {
  std::uint64_t first_ns = 1'000'000'000;
  std::uint64_t most_ns = 300'000'000'000;
  bool operator==(const Backoff&) const = default;

  /// After `failures` (1 and more) in a row: twice as long each time, of which the second half is left to `chance`, in
  /// [0, 1), so that senders that failed together do not come together.
  std::uint64_t delay_ns(unsigned failures, double chance) const;
};

/// A Retry-After is believed up to this.
inline constexpr std::uint64_t kMostRetryAfterNs = 3'600'000'000'000;

/// What a header Retry-After asks to wait, from `wall_ns` on (CLOCK_REALTIME): seconds, or a date (RFC 9110, section
/// 10.2.3); at most kMostRetryAfterNs. nullopt: neither.
std::optional<std::uint64_t> parse_retry_after(std::string_view text, std::int64_t wall_ns);

/// What becomes of a notification by the status of the answer.
enum class Verdict {
  kDelivered,
  kRetry,    ///< the receiver, or what is between, does not take anything now
  kRefused,  ///< it does not want this very body: it would not later either
};
Verdict judge(long status);

}  // namespace mapwatch::alert
