#include "cli/alert_flags.h"

#include <fmt/format.h>

#include "base/url.h"
#include "base/words.h"
#include "cli/flags.h"
#include "cli/usage.h"
#include "cli/values.h"

namespace mapwatch::cli {

namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kDayNs = 86'400 * kSecondNs;
constexpr std::uint64_t kMinSpool = 64u << 10;
constexpr std::uint64_t kMaxSpool = 1u << 30;

Result<void> set_url(std::string& field, const std::string& text) {
  if (!text.empty()) {
    TRY(check_url(text));
  }
  field = text;
  return {};
}

}  // namespace

Result<void> set_webhook(Options& options, const std::string& text) { return set_url(options.webhook, text); }

Result<void> set_alertmanager(Options& options, const std::string& text) { return set_url(options.alertmanager, text); }

Result<void> set_alert_wait(Options& options, const std::string& text) {
  options.alert_wait_ns = TRY(parse_duration_within(text, 0, 600 * kSecondNs, "0 to 10m"));
  return {};
}

Result<void> set_alert_interval(Options& options, const std::string& text) {
  options.alert_interval_ns = TRY(parse_duration_within(text, 0, kDayNs, "0 to 24h"));
  return {};
}

Result<void> set_alert_repeat(Options& options, const std::string& text) {
  options.alert_repeat_ns = TRY(parse_duration_within(text, 60 * kSecondNs, 30 * kDayNs, "1m to 720h"));
  return {};
}

Result<void> set_alert_resolve(Options& options, const std::string& text) {
  options.alert_resolve_ns = TRY(parse_duration_within(text, 10 * kSecondNs, 30 * kDayNs, "10s to 720h"));
  return {};
}

Result<void> set_alert_spool(Options& options, const std::string& text) {
  const std::uint64_t bytes = TRY(parse_size(text));
  if (bytes < kMinSpool || bytes > kMaxSpool) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is not from 64K to 1G", text));
  }
  options.alert_spool = bytes;
  return {};
}

Result<void> set_exec(Options& options, const std::string& text) {
  if (text.empty()) {
    options.exec.clear();
    return {};
  }
  std::vector<std::string> words = TRY(split_words(text));
  if (!words[0].starts_with('/')) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is no absolute path", words[0]),
                "no shell and no PATH is asked: give the program's whole path");
  }
  options.exec = std::move(words);
  return {};
}

Result<void> set_exec_timeout(Options& options, const std::string& text) {
  options.exec_timeout_ns = TRY(parse_duration_within(text, kSecondNs / 10, 3600 * kSecondNs, "100ms to 1h"));
  return {};
}

Result<void> set_exec_max(Options& options, const std::string& text) {
  options.exec_max = static_cast<unsigned>(TRY(parse_number(text, 1, 64)));
  return {};
}

Result<void> check_alerts(const Options& options) {
  if (options.webhook.empty() && !options.webhook_secret_file.empty()) {
    return usage("--webhook-secret-file signs what goes to --webhook", "give both");
  }
  if (options.webhook.empty() && options.alertmanager.empty() && !options.webhook_ca.empty()) {
    return usage("--webhook-ca belongs to --webhook or --alertmanager", see_help(command_name(options.command)));
  }
  if (options.exec.empty() && !options.exec_user.empty()) {
    return usage("--exec-user belongs to --exec", see_help(command_name(options.command)));
  }
  return {};
}

}  // namespace mapwatch::cli
