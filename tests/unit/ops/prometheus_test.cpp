#include <gtest/gtest.h>

#include <regex>

#include "ops/glob.h"
#include "ops/prometheus.h"

namespace mapwatch::ops {
namespace {

TEST(Glob, IsTheSameAsARegularExpression) {
  const auto matches = [](const char* glob, const char* text) {
    std::string quoted = promql_regex(glob);
    EXPECT_TRUE(quoted.size() >= 2 && quoted.front() == '"' && quoted.back() == '"') << quoted;
    std::string regex;
    for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
      i += quoted[i] == '\\' ? 1 : 0;
      regex += quoted[i];
    }
    return std::regex_match(text, std::regex(regex, std::regex::extended));
  };
  EXPECT_TRUE(matches("/srv/*", "/srv/orders"));
  EXPECT_FALSE(matches("/srv/*", "/opt/srv/orders")) << "the whole text";
  EXPECT_TRUE(matches("", "anything"));
  EXPECT_TRUE(matches("a?c", "abc"));
  EXPECT_FALSE(matches("a.c", "abc"));
  EXPECT_TRUE(matches("a.c(1)+", "a.c(1)+"));
  EXPECT_TRUE(matches("v[12]", "v1"));
  EXPECT_FALSE(matches("v[!12]", "v1"));
  EXPECT_TRUE(matches("v[!12]", "v3"));
  EXPECT_TRUE(matches("v[", "v["));
  EXPECT_EQ(promql_regex("a\"b\\"), R"("a\"b\\\\")") << "no way out of the string";
}

TEST(PromQl, AsksForTheValueOverTheSpan) {
  Objective objective;
  objective.exe = "/srv/*";
  EXPECT_EQ(promql(objective, 300),
            "sum(increase(mapwatch_hazard_seconds_total{exe=~\"/srv/.*\"}[300s])) / "
            "sum(increase(mapwatch_watched_seconds_total{exe=~\"/srv/.*\"}[300s]))");
  objective.source = Source::kRatio;
  objective.error_query = "sum(rate(e[$window])) + sum(rate(f[$window]))";
  objective.total_query = "sum(rate(t[$window]))";
  EXPECT_EQ(promql(objective, 60), "(sum(rate(e[60s])) + sum(rate(f[60s]))) / (sum(rate(t[60s])))");
}

TEST(Answer, IsOneNumberOrNone) {
  const auto value = [](const char* text) { return parse_answer(text); };
  const auto one =
      value(R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0.25"]}]}})");
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_DOUBLE_EQ(**one, 0.25);
  EXPECT_DOUBLE_EQ(**value(R"({"status":"success","data":{"resultType":"scalar","result":[1,"2"]}})"), 2);
  EXPECT_FALSE(*value(R"({"status":"success","data":{"resultType":"vector","result":[]}})"));
  EXPECT_FALSE(*value(R"({"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}})"))
      << "0/0 is no value";
  EXPECT_FALSE(*value(R"({"status":"success","data":{"resultType":"scalar","result":[1,"+Inf"]}})"));
}

TEST(Answer, WhateverElseComesIsAnError) {
  for (const char* text :
       {"", "null", "[]", "7", "{}", "<html>", R"({"status":"error","error":"bad \u001b[31m query"})",
        R"({"status":"success"})", R"({"status":"success","data":{"resultType":"matrix","result":[]}})",
        R"({"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"2"]}]}})",
        R"({"status":"success","data":{"resultType":"vector","result":[7]}})",
        R"({"status":"success","data":{"resultType":"scalar","result":[1,2]}})",
        R"({"status":"success","data":{"resultType":"scalar","result":{}}})", R"({"status":7,"data":7})",
        R"({"status":"success","data":[]})", R"({"status":"success","data":{"resultType":3}})",
        R"({"status":"error","error":{}})"}) {
    const auto answer = parse_answer(text);
    EXPECT_FALSE(answer) << text;
    EXPECT_TRUE(answer || answer.error().message.find('\x1b') == std::string::npos);
  }
}

TEST(Prometheus, OnlyItsKindOfAddress) {
  EXPECT_FALSE(Prometheus::at("file:///etc/passwd"));
  EXPECT_FALSE(Prometheus::at("localhost:9090"));
  EXPECT_FALSE(Prometheus::at(""));
  EXPECT_TRUE(Prometheus::at("http://127.0.0.1:9090/"));
}

}  // namespace
}  // namespace mapwatch::ops
