#include "tui/words.h"

#include <cmath>

#include <fmt/format.h>

#include "report/format.h"

namespace mapwatch::tui {

std::string short_count(double value) {
  if (!std::isfinite(value) || value < 0.05) {
    return "0";
  }
  const char* unit = "";
  for (const char* next : {"k", "M", "G", "T"}) {
    if (value < 999.5) {
      break;
    }
    value /= 1000;
    unit = next;
  }
  const bool fraction = value < 9.95;
  return fmt::format("{:.{}f}{}", value, fraction && (*unit != '\0' || value != std::floor(value)) ? 1 : 0, unit);
}

std::string short_count(const std::optional<double>& value, bool estimated) {
  return value ? (estimated ? "~" : "") + short_count(*value) : "-";
}

std::string percent(double share) {
  const double value = std::isfinite(share) ? share * 100 : 0;
  if (value <= 0) {
    return "0";
  }
  if (value < 0.005) {
    return "<0.01";
  }
  return fmt::format("{:.{}f}", value, value < 0.995 ? 2 : value < 9.95 ? 1 : 0);
}

std::string short_time(std::uint64_t ns) {
  const std::uint64_t seconds = ns / 1'000'000'000;
  if (seconds < 60) {
    return fmt::format("{}s", seconds);
  }
  const std::uint64_t minutes = seconds / 60;
  if (minutes < 60) {
    return fmt::format("{}m", minutes);
  }
  const std::uint64_t hours = minutes / 60;
  return hours < 24 ? fmt::format("{}h{:02}m", hours, minutes % 60) : fmt::format("{}d{:02}h", hours / 24, hours % 24);
}

std::string tally_text(const Tally& tally) {
  return fmt::format("{}/{}/{}", short_count(static_cast<double>(tally.minute)),
                     short_count(static_cast<double>(tally.hour)), short_count(static_cast<double>(tally.all)));
}

std::string short_bytes(std::uint64_t bytes) {
  return bytes < 10 * 1024 * 1024 ? fmt::format("{}K", bytes / 1024) : fmt::format("{}M", bytes / (1024 * 1024));
}

std::string place_text(const std::string& func, const std::string& file, int line) {
  if (func.empty()) {
    return "?";
  }
  const std::size_t slash = file.rfind('/');
  const std::string base = slash == std::string::npos ? file : file.substr(slash + 1);
  return base.empty() ? func : fmt::format("{} {}:{}", func, base, line);
}

std::string detection_text(const std::optional<std::uint64_t>& ns) {
  return !ns ? "-" : *ns == kNever ? "never" : report::human_duration(*ns);
}

}  // namespace mapwatch::tui
