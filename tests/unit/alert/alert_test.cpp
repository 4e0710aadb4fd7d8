#include "alert/alert.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "alert/body.h"

namespace mapwatch::alert {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kStart = 1'795'392'842'118'004'217;  // 2026-11-23T00:14:02.118004217Z

Alert alert(const std::string& id, std::int64_t ends_ns = 0) {
  return {{{"alertname", "A"}, {"exe", "/srv/a"}, {"id", id}}, {{"summary", "s " + id}, {"pid", "7"}}, kStart, ends_ns};
}

// Alertmanager 0.25 gave these for the same labels (its /api/v2/alerts); tests/e2e compares with a live one.
TEST(Fingerprint, IsPrometheus) {
  EXPECT_EQ(fingerprint({}), "cbf29ce484222325") << "the basis of FNV-1a";
  EXPECT_EQ(fingerprint({{"a", "b"}}).size(), 16u);
  EXPECT_NE(fingerprint({{"a", "bc"}}), fingerprint({{"ab", "c"}}));
}

TEST(Group, IsAlertnameAndExe) {
  const Labels group = group_of(alert("mw-1").labels);
  EXPECT_EQ(group, (Labels{{"alertname", "A"}, {"exe", "/srv/a"}}));
  EXPECT_EQ(group_key(group), R"({}:{alertname="A", exe="/srv/a"})");
  EXPECT_EQ(group_key({{"exe", "a\"b\\"}}), R"({}:{exe="a\"b\\"})");
  EXPECT_EQ(group_key({}), "{}:{}");
}

TEST(WebhookBody, HasEveryFieldOfVersion4) {
  const Json body = Json::parse(
      to_body({{{"alertname", "A"}, {"exe", "/srv/a"}}, {alert("1"), alert("2", kStart + 1)}, 3}, Form::kWebhook));
  std::vector<std::string> keys;
  for (const auto& [key, value] : body.items()) {
    keys.push_back(key);
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"alerts", "commonAnnotations", "commonLabels", "externalURL", "groupKey",
                                            "groupLabels", "receiver", "status", "truncatedAlerts", "version"}));
  EXPECT_EQ(body["version"], "4") << "a text";
  EXPECT_EQ(body["status"], "firing") << "one of them is";
  EXPECT_EQ(body["truncatedAlerts"], 3);
  EXPECT_EQ(body["groupLabels"], Json({{"alertname", "A"}, {"exe", "/srv/a"}}));
  EXPECT_EQ(body["commonLabels"], Json({{"alertname", "A"}, {"exe", "/srv/a"}}));
  EXPECT_EQ(body["commonAnnotations"], Json({{"pid", "7"}}));
  const Json& first = body["alerts"][0];
  EXPECT_EQ(first["status"], "firing");
  EXPECT_EQ(first["labels"]["id"], "1");
  EXPECT_EQ(first["annotations"]["summary"], "s 1");
  EXPECT_EQ(first["startsAt"], "2026-11-23T00:14:02.118004217Z");
  EXPECT_EQ(first["endsAt"], "0001-01-01T00:00:00Z") << "Go's zero time: it is not over";
  EXPECT_EQ(first["generatorURL"], "");
  EXPECT_EQ(first["fingerprint"], fingerprint(alert("1").labels));
  EXPECT_EQ(body["alerts"][1]["status"], "resolved");
  EXPECT_EQ(body["alerts"][1]["endsAt"], "2026-11-23T00:14:02.118004218Z");
  EXPECT_EQ(Json::parse(to_body({{}, {alert("1", 1)}, 0}, Form::kWebhook))["status"], "resolved");
}

TEST(Body, IsOneLineOfAsciiWhateverIsInIt) {
  Alert hostile = alert("1");
  hostile.annotations["summary"] = "\x1b[2J\n\xff größe \xe2\x80\xae";
  for (const Form form : {Form::kWebhook, Form::kAlertmanager}) {
    const std::string body = to_body({hostile.labels, {hostile}, 0}, form);
    for (const char c : body) {
      EXPECT_TRUE(c >= ' ' && c < '\x7f') << body;
    }
  }
}

TEST(AlertmanagerBody, FiresUntilItsEndWhenItIsSent) {
  const std::string stored = to_body({{}, {alert("1"), alert("2")}, 0}, Form::kAlertmanager);
  const auto sent = with_end(stored, Form::kAlertmanager, kStart, 60'000'000'000);
  ASSERT_TRUE(sent);
  const Json body = Json::parse(*sent);
  ASSERT_EQ(body.size(), 2u);
  EXPECT_EQ(body[1]["labels"]["id"], "2");
  EXPECT_EQ(body[1]["startsAt"], "2026-11-23T00:14:02.118004217Z");
  EXPECT_EQ(body[1]["endsAt"], "2026-11-23T00:15:02.118004217Z");
  EXPECT_EQ(with_end("x", Form::kWebhook, kStart, 1).value_or(""), "x") << "a webhook's body stays as it is";
  for (const char* text : {"", "{}", "[1]", "[[]]", "null", "[{}"}) {
    const auto spoiled = with_end(text, Form::kAlertmanager, kStart, 1);
    ASSERT_FALSE(spoiled) << text;
    EXPECT_EQ(spoiled.error().kind, ErrorKind::kMalformed);
  }
}

/// The clock was set back by a day since it was seen: Alertmanager refuses what ends before it begins.
TEST(AlertmanagerBody, BeginsBeforeItEndsWhateverTheClockDid) {
  const std::string stored = to_body({{}, {alert("1")}, 0}, Form::kAlertmanager);
  const auto sent = with_end(stored, Form::kAlertmanager, kStart - 86'400'000'000'000, 60'000'000'000);
  ASSERT_TRUE(sent);
  const Json body = Json::parse(*sent);
  EXPECT_EQ(body[0]["startsAt"], "2026-11-22T00:14:02.118004217Z") << "now";
  EXPECT_EQ(body[0]["endsAt"], "2026-11-22T00:15:02.118004217Z");
}

}  // namespace
}  // namespace mapwatch::alert
