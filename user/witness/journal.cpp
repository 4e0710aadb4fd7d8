#include "witness/journal.h"

#include <unistd.h>

#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/run_program.h"

namespace mapwatch::witness {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostOutput = std::size_t{4} << 20;
constexpr std::size_t kMostMessage = 64 << 10;

std::optional<std::string> message_of(const Json& json) {
  if (json.is_string()) {
    return json.get<std::string>();
  }
  if (!json.is_array() || json.size() > kMostMessage) {
    return std::nullopt;  // null: longer than journalctl shows
  }
  std::string bytes;
  for (const Json& byte : json) {
    if (!byte.is_number_unsigned() || byte.get<std::uint64_t>() > 0xff) {
      return std::nullopt;
    }
    bytes += static_cast<char>(byte.get<std::uint64_t>());
  }
  return bytes;
}

}  // namespace

std::optional<JournalLine> parse_journal_line(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("__MONOTONIC_TIMESTAMP") || !json.contains("MESSAGE")) {
    return std::nullopt;
  }
  const Json& time = json["__MONOTONIC_TIMESTAMP"];
  const std::string digits = time.is_string() ? time.get<std::string>() : "";
  std::uint64_t us = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), us);
  auto message = message_of(json["MESSAGE"]);
  if (error != std::errc() || end != digits.data() + digits.size() || us > UINT64_MAX / 1000 || !message) {
    return std::nullopt;
  }
  return JournalLine{us * 1000, std::move(*message)};
}

bool Journal::there() const { return ::access(program_.c_str(), X_OK) == 0 && ::access(socket_.c_str(), F_OK) == 0; }

Result<Journal::Lines> Journal::lines(int pid, std::int64_t wall_s, std::chrono::milliseconds bound) const {
  const auto output = TRY(run_program({program_, "--no-pager", "-q", "-b", "-o", "json", "--output-fields=MESSAGE",
                                       fmt::format("--since=@{}", wall_s), fmt::format("_PID={}", pid)},
                                      kMostOutput, bound));
  Lines lines;
  lines.cut = output.cut;
  for (std::size_t at = 0; at < output.text.size();) {
    const std::size_t end = output.text.find('\n', at);
    if (end == std::string::npos) {
      break;
    }
    if (auto line = parse_journal_line(std::string_view(output.text).substr(at, end - at))) {
      lines.lines.push_back(std::move(*line));
    }
    at = end + 1;
  }
  return lines;
}

}  // namespace mapwatch::witness
