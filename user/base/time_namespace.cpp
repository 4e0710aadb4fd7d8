#include "base/time_namespace.h"

#include <unistd.h>

#include <charconv>
#include <limits>
#include <string>

namespace mapwatch::proc {
namespace {

std::string link_text(const std::string& path) {
  char text[64];
  const ssize_t length = ::readlink(path.c_str(), text, sizeof(text));
  return length < 0 ? std::string() : std::string(text, static_cast<std::size_t>(length));
}

/// The next number of a line of words; nullopt: something else.
std::optional<std::int64_t> take_number(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc()) {
    return std::nullopt;
  }
  line.remove_prefix(static_cast<std::size_t>(stop - line.data()));
  return value;
}

}  // namespace

std::optional<std::int64_t> parse_monotonic_offset(std::string_view text) {
  constexpr std::string_view kName = "monotonic ";
  constexpr std::int64_t kSecond = 1'000'000'000;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with(kName)) {
      continue;
    }
    line.remove_prefix(kName.size());
    const auto seconds = take_number(line);
    const auto rest = take_number(line);
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / kSecond - 1;
    if (!seconds || !rest || *seconds > kMost || *seconds < -kMost || *rest < 0 || *rest >= kSecond) {
      return std::nullopt;
    }
    return *seconds * kSecond + *rest;
  }
  return std::nullopt;
}

std::int64_t monotonic_offset_ns(int pid, const ProcFs& procfs) {
  // The file tells of the namespace for children; a program that was exec'd in it is in it itself. Both offsets count
  // from the host's clock.
  const auto offset = [](const std::string& file) -> std::int64_t {
    const auto text = read_file(file, 4096);
    return text ? parse_monotonic_offset(*text).value_or(0) : 0;
  };
  const std::string own = link_text(procfs.root() + "/self/ns/time");
  const std::string other = link_text(procfs.path(pid, "ns/time"));
  if (other.empty() || own == other) {
    return 0;
  }
  return offset(procfs.path(pid, "timens_offsets")) - offset(procfs.root() + "/self/timens_offsets");
}

}  // namespace mapwatch::proc
