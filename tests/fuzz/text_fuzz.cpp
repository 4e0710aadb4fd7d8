// Any text as a config file, as suppressions, as objectives, as a web configuration, as what a Prometheus or a receiver
// of alerts answers, as a value of a flag.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "alert/body.h"
#include "alert/retry.h"
#include "base/listen_address.h"
#include "base/sha256.h"
#include "base/url.h"
#include "base/words.h"
#include "cli/config_file.h"
#include "cli/values.h"
#include "ops/prometheus.h"
#include "ops/slo.h"
#include "ops/web_config.h"
#include "report/suppressions.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mapwatch;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)cli::parse_config(text, "fuzz");
  (void)cli::parse_duration(text);
  (void)cli::parse_size(text);
  (void)cli::parse_percent(text);
  (void)cli::parse_bool(text);
  (void)parse_listen_address(text);
  (void)ops::parse_answer(text);
  (void)decode_base64(text);
  (void)check_url(std::string(text));
  if (const auto words = split_words(text); words && words->empty()) {
    __builtin_trap();  // there is no program to run
  }
  if (alert::parse_retry_after(text, 1'795'000'000'000'000'000).value_or(0) > alert::kMostRetryAfterNs) {
    __builtin_trap();  // whoever answers could silence us for ever
  }
  (void)alert::with_end(std::string(text), alert::Form::kAlertmanager, 0, 1);
  if (const auto slo = ops::parse_slo(text, "fuzz")) {
    for (const ops::Objective& objective : slo->objectives) {
      if (!(objective.allowed() > 0) || ops::promql(objective, slo->window_s).empty()) {
        __builtin_trap();  // a budget of nothing is divided by
      }
    }
  }
  if (const auto web = ops::parse_web_config(text, "fuzz")) {
    for (const auto& [name, hash] : web->users) {
      if (name.find(':') != std::string::npos || !hash.starts_with("$2b$")) {
        __builtin_trap();  // nobody could be that user
      }
    }
  }
  auto rules = report::Suppressions::parse(text, "fuzz");
  if (rules) {
    report::HazardReport hazard;
    (void)rules->hides(hazard);
  }
  const std::size_t half = size / 2;
  (void)report::matches_pattern(text.substr(0, half), text.substr(half));
  return 0;
}
