// Text of one flag's value -> number. Pure; every error is kUsage and says what would be right.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace mapwatch::cli {

/// Nanoseconds of "200us", "30s", "1.5s", "1m30s" (units ns, us, ms, s, m, h). A bare number is refused, save "0".
Result<std::uint64_t> parse_duration(std::string_view text);
/// The same, from `low` to `high` ns, both of them allowed; `range` says so in the error.
Result<std::uint64_t> parse_duration_within(std::string_view text, std::uint64_t low, std::uint64_t high,
                                            std::string_view range);

/// Bytes of "8M", "64K", "1G", "4096" (binary units; "8MiB" and "8MB" mean 8M).
Result<std::uint64_t> parse_size(std::string_view text);

/// Share of "1%", "0.5%": 0.01, 0.005. The sign is required, so that "1" is never taken for 100 %.
Result<double> parse_percent(std::string_view text);

/// A decimal integer in [low, high].
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t low, std::uint64_t high);

/// true, yes, 1 or false, no, 0.
Result<bool> parse_bool(std::string_view text);

}  // namespace mapwatch::cli
