// What --redact takes out of a dossier's files, and what it must not touch. That nothing is forgotten is for the e2e
// case dossier/export, which looks for known secrets in a whole archive.
#include "dossier/redact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mapwatch::dossier {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json crash() {
  return {{"kind", "crash"},
          {"dossier", "/var/lib/mapwatch/dossiers/x"},
          {"process", {{"exe", "/home/a b/shop"}, {"cgroup", "/user.slice/user-1000.slice"}}},
          {"stack", {{{"func", "example.com/app/cache.(*Cache).Put"}, {"file", "/app/cache/put.go"}, {"line", 7}}}}};
}

Redactor made(const json& report = crash()) {
  auto redactor = Redactor::create(report.dump());
  EXPECT_TRUE(redactor) << redactor.error().message;
  return std::move(*redactor);
}

TEST(Redact, OfAPathTheLastComponentStays) {
  const std::string text = *made().apply("report.txt",
                                         "Process:  7 /home/a b/shop go1.26.8 cgroup /user.slice/user-1000.slice\n"
                                         "      /app/cache/put.go:7 +0x3\nDossier:  /var/lib/mapwatch/dossiers/x\n");
  EXPECT_EQ(text, "Process:  7 shop go1.26.8 cgroup (redacted)\n      put.go:7 +0x3\nDossier:  x\n");
}

TEST(Redact, NamesOfPackagesAndTypesAreNoPaths) {
  json report = crash();
  report["stack"][0]["file"] = "/app/main.go";
  const std::string kept = "  example.com/app/cache.(*Cache).Put()\n  map[string]*x/app/y.T at 1/app/2, [3]/app/z\n";
  EXPECT_EQ(made(report).apply("report.txt", kept), kept);
  EXPECT_EQ(made(report).apply("report.txt", "/app/main.go:1 </app/x>"), "main.go:1 <x>");
}

TEST(Redact, PathsOfOtherGoroutinesAreLearnt) {
  Redactor redactor = made();
  const std::string text = "goroutine 3 [running]:\nmain.main(...)\n\t/src/<me>/main.go:19 +0x2a\n\n";
  EXPECT_EQ(redactor.apply("goroutines.txt", text), text);
  redactor.learn(text);
  redactor.learn("// \"/note/x\": no path\n   // a comment: 1\n\t/:1\n");
  EXPECT_EQ(redactor.apply("goroutines.txt", text), "goroutine 3 [running]:\nmain.main(...)\n\tmain.go:19 +0x2a\n\n");
  EXPECT_EQ(redactor.apply("report.html", "<pre>\t/src/&lt;me&gt;/main.go:19</pre> http://x/ // /a"),
            "<pre>\tmain.go:19</pre> http://x/ // /a");
}

TEST(Redact, TheFileBehindStderrKeepsItsNameOnly) {
  Redactor redactor = made();
  redactor.learn_timeline(R"({"stderr":{"kind":"file","name":"/var/log/customer/a.log"}})");
  EXPECT_EQ(redactor.apply("report.txt", "Stderr:   agrees: /var/log/customer/a.log got 7 bytes\n"),
            "Stderr:   agrees: a.log got 7 bytes\n");
  EXPECT_EQ(redactor.apply("timeline.json", R"({"stderr":{"name":"/var/log/customer/a.log"}})"),
            "{\"stderr\":{\"name\":\"a.log\"}}\n");
  for (const char* other : {"", "null", "[]", "{\"stderr\":7}", "{\"stderr\":{\"name\":7}}"}) {
    redactor.learn_timeline(other);
  }
}

TEST(Redact, LabelsAreLeftOut) {
  EXPECT_EQ(
      made().apply("goroutines.txt", "goroutine 3 [running, locked to thread] {user: \"bob] {\"}:\nmain.a(...)\n"),
      "goroutine 3 [running, locked to thread]:\nmain.a(...)\n");
}

TEST(Redact, JsonStaysJson) {
  const json report = json::parse(*made().apply("report.json", crash().dump()));
  EXPECT_EQ(report["process"]["exe"], "shop");
  EXPECT_EQ(report["process"]["cgroup"], "(redacted)");
  EXPECT_EQ(report["stack"][0],
            json({{"func", "example.com/app/cache.(*Cache).Put"}, {"file", "put.go"}, {"line", 7}}));
  const json map = json::parse(*made().apply("maps.json", R"({"type":"map[string]int","entries":[{"key":"secret"}]})"));
  EXPECT_EQ(map, json({{"type", "map[string]int"}, {"entries", json::array()}}));
  EXPECT_EQ(made().apply("maps.json", "not JSON"), "null\n");
}

TEST(Redact, OfHoldersTheFilesNamesStayWhoeversTheyAre) {
  const json all = json::parse(*made().apply(
      "holders.json", R"({"stacks":[{"func":"main.keep","file":"/home/somebody/nowhere/else/keep.go","line":7}]})"));
  EXPECT_EQ(all["stacks"][0], json({{"func", "main.keep"}, {"file", "keep.go"}, {"line", 7}}));
}

TEST(Redact, BuildSettingsThatMayHoldSecretsAreLeftOut) {
  EXPECT_EQ(made().apply("buildinfo.txt",
                         "go\tgo1.26.8\npath\texample.com/shop\nbuild\t-ldflags=-X main.token=secret\n"
                         "build\t-tags=customer\nbuild\tGOARCH=amd64\nbuild\nanything\n"),
            "go\tgo1.26.8\npath\texample.com/shop\nbuild\tGOARCH=amd64\n");
}

TEST(Redact, WhatIsNotKnownIsLeftOut) {
  for (const char* name : {"env-names.txt", "registers.json", "maps.txt", "SHA256SUMS", "REDACTED.txt", "core", ""}) {
    EXPECT_EQ(made().apply(name, "x"), std::nullopt) << name;
  }
}

TEST(Redact, WithoutTheCrashObjectNothingIsCertain) {
  for (const char* text : {"", "[]", "null", "{\"kind\":\"hazard\"}", "{\"kind\":7}"}) {
    const auto redactor = Redactor::create(text);
    ASSERT_FALSE(redactor) << text;
    EXPECT_EQ(redactor.error().kind, ErrorKind::kMalformed);
  }
  EXPECT_TRUE(Redactor::create("{\"kind\":\"crash\"}"));
}

}  // namespace
}  // namespace mapwatch::dossier
