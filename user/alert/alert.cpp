#include "alert/alert.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/fnv1a.h"

namespace mapwatch::alert {
namespace {

constexpr std::array<std::string_view, 2> kGroupedBy = {"alertname", "exe"};
constexpr std::uint8_t kSeparator = 0xff;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    out += c == '"' || c == '\\' ? "\\" : "";
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string fingerprint(const Labels& labels) {
  Fnv1a hash;
  for (const auto& [name, value] : labels) {
    hash.add(name);
    hash.add(kSeparator);
    hash.add(value);
    hash.add(kSeparator);
  }
  return fmt::format("{:016x}", hash.value());
}

Labels group_of(const Labels& labels) {
  Labels group;
  for (const std::string_view name : kGroupedBy) {
    if (const auto found = labels.find(std::string(name)); found != labels.end()) {
      group.insert(*found);
    }
  }
  return group;
}

std::string group_key(const Labels& group) {
  std::string key = "{}:{";
  for (const auto& [name, value] : group) {
    key += fmt::format("{}{}={}", key.ends_with('{') ? "" : ", ", name, quoted(value));
  }
  return key + "}";
}

}  // namespace mapwatch::alert
