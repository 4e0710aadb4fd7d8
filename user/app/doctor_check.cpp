#include "app/doctor_check.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/escape.h"

namespace mapwatch::app {

namespace {

using Json = nlohmann::ordered_json;

std::string_view status_word(CheckStatus status) {
  switch (status) {
    case CheckStatus::kOk:
      return "ok";
    case CheckStatus::kWarn:
      return "warn";
    case CheckStatus::kFail:
      break;
  }
  return "fail";
}

}  // namespace

bool any_failed(const std::vector<Check>& checks) {
  return std::any_of(checks.begin(), checks.end(),
                     [](const Check& check) { return check.status == CheckStatus::kFail; });
}

std::string checks_text(const std::vector<Check>& checks) {
  std::string text;
  for (const Check& check : checks) {
    text += fmt::format("{:<5} {:<20} {}\n", status_word(check.status), check.name, escape(check.detail));
    if (!check.remedy.empty()) {
      text += fmt::format("{:<26} remedy: {}\n", "", escape(check.remedy));
    }
  }
  return text;
}

std::string checks_json(const std::vector<Check>& checks) {
  std::string text;
  for (const Check& check : checks) {
    Json object = {{"schema_version", 1},    {"kind", "doctor"},
                   {"check", check.name},    {"status", status_word(check.status)},
                   {"detail", check.detail}, {"remedy", check.remedy.empty() ? Json(nullptr) : Json(check.remedy)}};
    for (const auto& [name, ns] : check.ns_per_hit) {
      object["ns_per_hit"][std::string(name)] = ns > 0 ? Json(ns) : Json(nullptr);
    }
    text += object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return text;
}

}  // namespace mapwatch::app
