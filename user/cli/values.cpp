#include "cli/values.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <optional>

namespace mapwatch::cli {

namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

tl::unexpected<Error> wrong(std::string_view text, std::string_view what, std::string_view hint) {
  return fail(ErrorKind::kUsage, fmt::format("\"{}\" is no {}", text, what), std::string(hint));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A decimal number with an optional fraction, cut off the front of a text.
struct Decimal {
  std::uint64_t whole = 0;
  double fraction = 0;  ///< [0, 1)
};

std::optional<Decimal> take_decimal(std::string_view& text) {
  Decimal value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value.whole);
  if (error != std::errc()) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    if (text.empty() || !is_digit(text.front())) {
      return std::nullopt;
    }
    for (double place = 0.1; !text.empty() && is_digit(text.front()); place /= 10) {
      value.fraction += place * (text.front() - '0');
      text.remove_prefix(1);
    }
  }
  return value;
}

/// value * unit, rounded; nullopt when it does not fit.
std::optional<std::uint64_t> scale(const Decimal& value, std::uint64_t unit) {
  if (value.whole > kMax / unit) {
    return std::nullopt;
  }
  const std::uint64_t whole = value.whole * unit;
  const auto fraction = static_cast<std::uint64_t>(value.fraction * static_cast<double>(unit) + 0.5);
  if (whole > kMax - fraction) {
    return std::nullopt;
  }
  return whole + fraction;
}

std::optional<std::uint64_t> take_time_unit(std::string_view& text) {
  struct Unit {
    std::string_view name;
    std::uint64_t ns;
  };
  // "ms" before "m": the longest name wins.
  constexpr Unit kUnits[] = {{"ns", 1},
                             {"us", 1'000},
                             {"ms", 1'000'000},
                             {"s", 1'000'000'000},
                             {"m", 60'000'000'000},
                             {"h", 3'600'000'000'000}};
  for (const Unit& unit : kUnits) {
    if (text.starts_with(unit.name)) {
      text.remove_prefix(unit.name.size());
      return unit.ns;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::uint64_t> parse_duration(std::string_view text) {
  constexpr std::string_view kHint = "write a number and a unit: 200us, 10ms, 30s, 1m30s, 1h";
  if (text == "0") {
    return 0;
  }
  std::uint64_t total = 0;
  std::string_view rest = text;
  do {
    const auto value = take_decimal(rest);
    const auto unit = value ? take_time_unit(rest) : std::nullopt;
    const auto part = unit ? scale(*value, *unit) : std::nullopt;
    if (!part || *part > kMax - total) {
      return wrong(text, "duration", kHint);
    }
    total += *part;
  } while (!rest.empty());
  return total;
}

Result<std::uint64_t> parse_duration_within(std::string_view text, std::uint64_t low, std::uint64_t high,
                                            std::string_view range) {
  const std::uint64_t ns = TRY(parse_duration(text));
  if (ns < low || ns > high) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is not from {}", text, range));
  }
  return ns;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::string_view kHint = "write a number and K, M or G: 64K, 8M, 1G";
  std::string_view rest = text;
  const auto value = take_decimal(rest);
  if (!value) {
    return wrong(text, "size", kHint);
  }
  std::uint64_t unit = 1;
  if (!rest.empty() && rest != "B") {
    switch (rest.front()) {
      case 'k':
      case 'K':
        unit = 1ull << 10;
        break;
      case 'm':
      case 'M':
        unit = 1ull << 20;
        break;
      case 'g':
      case 'G':
        unit = 1ull << 30;
        break;
      default:
        return wrong(text, "size", kHint);
    }
    rest.remove_prefix(1);
    if (!rest.empty() && rest != "B" && rest != "iB") {
      return wrong(text, "size", kHint);
    }
  }
  const auto bytes = scale(*value, unit);
  if (!bytes) {
    return wrong(text, "size", kHint);
  }
  return *bytes;
}

Result<double> parse_percent(std::string_view text) {
  std::string_view rest = text;
  const auto value = take_decimal(rest);
  if (!value || rest != "%") {
    return wrong(text, "percentage", "write a number and %: 1%, 0.5%");
  }
  return (static_cast<double>(value->whole) + value->fraction) / 100;
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t low, std::uint64_t high) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    return wrong(text, fmt::format("number from {} to {}", low, high), "");
  }
  return value;
}

Result<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "yes" || text == "1") {
    return true;
  }
  if (text == "false" || text == "no" || text == "0") {
    return false;
  }
  return wrong(text, "yes or no", "write true or false");
}

}  // namespace mapwatch::cli
