#include "ops/prometheus.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/curl_ready.h"
#include "base/escape.h"
#include "ops/glob.h"

namespace mapwatch::ops {
namespace {

using Json = nlohmann::json;

constexpr long kTimeoutMs = 10'000;
constexpr std::size_t kMaxAnswer = std::size_t{4} << 20;

std::string with_window(std::string query, const std::string& window) {
  constexpr std::string_view kPlace = "[$window]";
  for (std::size_t at = 0; (at = query.find(kPlace, at)) != std::string::npos; at += window.size()) {
    query.replace(at, kPlace.size(), window);
  }
  return query;
}

std::size_t take(char* data, std::size_t size, std::size_t count, void* to) {
  std::string& text = *static_cast<std::string*>(to);
  if (text.size() + size * count > kMaxAnswer) {
    return 0;  // ends the transfer with an error
  }
  text.append(data, size * count);
  return size * count;
}

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace

std::string promql(const Objective& objective, std::uint64_t span_s) {
  const std::string window = fmt::format("[{}s]", span_s);
  const std::string of = fmt::format("{{exe=~{}}}", promql_regex(objective.exe));
  const std::string watched = fmt::format("sum(increase(mapwatch_watched_seconds_total{}{}))", of, window);
  switch (objective.source) {
    case Source::kHazards:
      return fmt::format("sum(increase(mapwatch_hazard_seconds_total{}{})) / {}", of, window, watched);
    case Source::kCrashes:
      return fmt::format("86400 * sum(increase(mapwatch_crashes_total{}{})) / {}", of, window, watched);
    case Source::kOverhead:
      return fmt::format("max(avg_over_time(mapwatch_overhead_ratio{}{}))", of, window);
    case Source::kRatio:
      return fmt::format("({}) / ({})", with_window(objective.error_query, window),
                         with_window(objective.total_query, window));
    case Source::kLatency:
      return fmt::format("avg_over_time((({}) > bool {})[{}s:1m])", objective.query, objective.most, span_s);
  }
  return {};
}

namespace {

/// Throws where the answer has another type than expected.
Result<std::optional<double>> value_of(const Json& json) {
  if (!json.is_object() || !json.contains("status")) {
    return fail(ErrorKind::kFailed, "the answer is not that of a Prometheus");
  }
  if (json["status"] != "success") {
    return fail(ErrorKind::kFailed, "Prometheus says: " + escape(json.value("error", std::string("no reason"))));
  }
  const Json data = json.value("data", Json::object());
  const std::string type = data.value("resultType", std::string());
  Json value = data.value("result", Json());
  if (type == "vector" && value.is_array()) {
    if (value.size() > 1) {
      return fail(ErrorKind::kFailed, fmt::format("the query gives {} series, not one", value.size()),
                  "put sum() around it");
    }
    if (value.empty()) {
      return std::optional<double>();
    }
    value = value[0].is_object() ? value[0].value("value", Json()) : Json();
  } else if (type != "scalar") {
    return fail(ErrorKind::kFailed, fmt::format("the query gives a {}, not a number", escape(type)));
  }
  if (!value.is_array() || value.size() != 2 || !value[1].is_string()) {
    return fail(ErrorKind::kFailed, "the answer is not that of a Prometheus");
  }
  return number(value[1].get<std::string>());
}

}  // namespace

Result<std::optional<double>> parse_answer(std::string_view text) {
  try {
    return value_of(Json::parse(text));
  } catch (const Json::exception&) {
    return fail(ErrorKind::kFailed, "the answer is not that of a Prometheus");
  }
}

Result<Prometheus> Prometheus::at(const std::string& url) {
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    return fail(ErrorKind::kUsage, fmt::format("--prometheus: \"{}\" is no http or https address", url),
                "e.g. http://127.0.0.1:9090");
  }
  TRY(make_curl_ready());
  return Prometheus(url.back() == '/' ? url.substr(0, url.size() - 1) : url);
}

Result<std::optional<double>> Prometheus::value(const std::string& query) const {
  const std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)> curl(::curl_easy_init(), &::curl_easy_cleanup);
  const std::unique_ptr<char, decltype(&::curl_free)> escaped(
      curl ? ::curl_easy_escape(curl.get(), query.c_str(), static_cast<int>(query.size())) : nullptr, &::curl_free);
  if (!escaped) {
    return fail(ErrorKind::kFailed, "curl has no memory");
  }
  std::string answer;
  const std::string address = fmt::format("{}/api/v1/query?query={}", url_, escaped.get());
  ::curl_easy_setopt(curl.get(), CURLOPT_URL, address.c_str());
  ::curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 0L);
  ::curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, kTimeoutMs);
  ::curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, take);
  ::curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
  if (const CURLcode done = ::curl_easy_perform(curl.get()); done != CURLE_OK) {
    return fail(ErrorKind::kFailed, fmt::format("{} cannot be asked: {}", url_, ::curl_easy_strerror(done)),
                "is --prometheus right, and does it run?");
  }
  auto parsed = parse_answer(answer);
  if (!parsed) {
    return fail(ErrorKind::kFailed, fmt::format("{}: {}: {}", url_, query, parsed.error().message),
                parsed.error().hint);
  }
  return parsed;
}

}  // namespace mapwatch::ops
