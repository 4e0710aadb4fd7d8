#include "base/rfc3339.h"

#include <chrono>

#include <fmt/format.h>

namespace mapwatch {

std::string rfc3339(std::int64_t wall_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t seconds = wall_ns / kSecond;
  std::int64_t rest = wall_ns % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  const std::chrono::sys_seconds instant{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{instant - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), rest);
}

}  // namespace mapwatch
