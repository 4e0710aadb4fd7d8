#include "alert/body.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/rfc3339.h"

namespace mapwatch::alert {
namespace {

using Json = nlohmann::ordered_json;

// Go's zero time: how Alertmanager says that an alert is not over.
constexpr const char* kNever = "0001-01-01T00:00:00Z";

std::string dump(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace); }

/// Those that all have, with the same value.
Labels common(const std::vector<Alert>& alerts, Labels Alert::*of) {
  Labels out = alerts.empty() ? Labels{} : alerts.front().*of;
  for (const Alert& alert : alerts) {
    std::erase_if(out, [&](const auto& each) {
      const auto found = (alert.*of).find(each.first);
      return found == (alert.*of).end() || found->second != each.second;
    });
  }
  return out;
}

Json webhook_alert(const Alert& alert) {
  const bool over = alert.ends_ns != 0;
  Json json = Json::object();
  json["status"] = over ? "resolved" : "firing";
  json["labels"] = alert.labels;
  json["annotations"] = alert.annotations;
  json["startsAt"] = rfc3339(alert.starts_ns);
  json["endsAt"] = over ? rfc3339(alert.ends_ns) : kNever;
  json["generatorURL"] = "";
  json["fingerprint"] = fingerprint(alert.labels);
  return json;
}

std::string webhook(const News& news) {
  const bool firing = std::ranges::any_of(news.alerts, [](const Alert& alert) { return alert.ends_ns == 0; });
  Json json = Json::object();
  json["version"] = "4";
  json["groupKey"] = group_key(news.group);
  json["truncatedAlerts"] = news.truncated;
  json["status"] = firing ? "firing" : "resolved";
  json["receiver"] = kReceiver;
  json["groupLabels"] = news.group;
  json["commonLabels"] = common(news.alerts, &Alert::labels);
  json["commonAnnotations"] = common(news.alerts, &Alert::annotations);
  json["externalURL"] = "";
  json["alerts"] = Json::array();
  for (const Alert& alert : news.alerts) {
    json["alerts"].push_back(webhook_alert(alert));
  }
  return dump(json);
}

std::string alertmanager(const News& news) {
  Json json = Json::array();
  for (const Alert& alert : news.alerts) {
    json.push_back(
        {{"labels", alert.labels}, {"annotations", alert.annotations}, {"startsAt", rfc3339(alert.starts_ns)}});
  }
  return dump(json);
}

}  // namespace

std::string to_body(const News& news, Form form) { return form == Form::kWebhook ? webhook(news) : alertmanager(news); }

Result<std::string> with_end(const std::string& body, Form form, std::int64_t now_ns, std::uint64_t lasts_ns) {
  if (form == Form::kWebhook) {
    return body;
  }
  Json json = Json::parse(body, nullptr, false);
  if (!json.is_array() || !std::ranges::all_of(json, [](const Json& each) { return each.is_object(); })) {
    return fail(ErrorKind::kMalformed, "a stored notification is no list of alerts");
  }
  const Json now = rfc3339(now_ns);
  for (Json& each : json) {
    Json& starts = each["startsAt"];
    if (!starts.is_string() || starts > now) {  // of one form: in order of time
      starts = now;
    }
    each["endsAt"] = rfc3339(now_ns + static_cast<std::int64_t>(lasts_ns));
  }
  return dump(json);
}

}  // namespace mapwatch::alert
