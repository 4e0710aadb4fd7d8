#include "alert/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace mapwatch::alert {
namespace {

constexpr std::size_t kMostText = 64;  // of a Retry-After
constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kMostSeconds = kMostRetryAfterNs / kSecondNs;

}  // namespace

std::uint64_t Backoff::delay_ns(unsigned failures, double chance) const {
  std::uint64_t delay = std::min(first_ns, most_ns);
  for (unsigned i = 1; i < failures && delay < most_ns; ++i) {
    delay = std::min(2 * delay, most_ns);
  }
  return delay / 2 + static_cast<std::uint64_t>(chance * static_cast<double>(delay / 2));
}

std::optional<std::uint64_t> parse_retry_after(std::string_view text, std::int64_t wall_ns) {
  if (text.empty() || text.size() > kMostText) {
    return std::nullopt;
  }
  std::uint64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (end == text.data() + text.size()) {
    // Too large a number is a long time all the same.
    return (error == std::errc() ? std::min(seconds, kMostSeconds) : kMostSeconds) * kSecondNs;
  }
  if (text.front() < 'A' || text.front() > 'Z') {
    return std::nullopt;  // a date begins with its day; curl would take more than HTTP allows
  }
  const time_t date = ::curl_getdate(std::string(text).c_str(), nullptr);
  if (date < 0) {
    return std::nullopt;
  }
  const std::int64_t now_s = wall_ns / static_cast<std::int64_t>(kSecondNs);
  const std::int64_t left = std::clamp<std::int64_t>(date - now_s, 0, static_cast<std::int64_t>(kMostSeconds));
  return static_cast<std::uint64_t>(left) * kSecondNs;
}

Verdict judge(long status) {
  if (status >= 200 && status < 300) {
    return Verdict::kDelivered;
  }
  // RFC 9110: Bad Request, Content Too Large, Unsupported Media Type, Unprocessable Content are about the body. A
  // wrong address or secret (401, 403, 404, a redirect) can be mended, and what waits is then wanted.
  return status == 400 || status == 413 || status == 415 || status == 422 ? Verdict::kRefused : Verdict::kRetry;
}

}  // namespace mapwatch::alert
