// What the golden tests do not pin down: shape of the objects, numbers and words, styles.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "report/format.h"
#include "report/report.h"

namespace mapwatch::report {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> keys_of(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) {
    keys.push_back(key);
  }
  return keys;
}

void expect_keys(const Json& json, const std::vector<std::string>& documented) {
  std::vector<std::string> keys = keys_of(json);
  ASSERT_GE(keys.size(), documented.size());
  keys.resize(documented.size());
  EXPECT_EQ(keys, documented);
}

HazardReport hazard() {
  HazardReport out;
  out.id = "mw-7f3a91c2";
  out.time_ns = 5;
  out.printed_ns = 6;
  out.map = {0xc0000a4060, "map[string]int", 3};
  out.accesses[0].op = MW_OP_WRITE;
  out.accesses[0].stack.resize(1);
  out.accesses[0].stack[0].func = "main.(*cache).put";
  out.accesses[0].stack[0].file = "/srv/app/cache.go";
  out.accesses[0].created_by = out.accesses[0].stack[0];
  out.accesses[1].op = MW_OP_ITERATE;
  return out;
}

TEST(Json, KeysAndTheirOrder) {
  const Json json = Json::parse(to_json(hazard(), {}));
  expect_keys(json, {"schema_version", "kind", "id", "time", "time_ns", "printed_ns", "severity", "evidence", "count",
                     "process", "map", "accesses"});
  expect_keys(json["process"], {"pid", "ns_pid", "exe", "go", "build_id", "cgroup"});
  expect_keys(json["map"], {"addr", "type", "len"});
  expect_keys(json["accesses"][0], {"op", "goid", "tid", "stack", "created_by"});
  expect_keys(json["accesses"][0]["stack"][0], {"func", "file", "line", "pc", "inlined"});
  expect_keys(json["accesses"][0]["created_by"], {"func", "file", "line"});
  EXPECT_EQ(json["accesses"][1]["created_by"], nullptr);
  EXPECT_EQ(json["accesses"][1]["op"], "iterate");
  EXPECT_EQ(json["map"]["addr"], "0xc0000a4060");

  CrashReport crash;
  crash.other = AccessReport{};
  const Json crashed = Json::parse(to_json(crash, {}));
  expect_keys(crashed, {"schema_version", "kind", "id", "time_ns", "reason", "class", "lead_ns", "map_lead_ns",
                        "process", "map", "goid", "stack", "other", "dossier", "frozen_ns"});
  expect_keys(crashed["other"], {"goid", "stack"});
  EXPECT_EQ(crashed["lead_ns"], nullptr);
  EXPECT_EQ(crashed["map"]["addr"], nullptr);

  expect_keys(Json::parse(to_json(LostReport{"ring", 12}, {})), {"schema_version", "kind", "stage", "count"});
  expect_keys(Json::parse(to_json(SummaryReport{}, {})),
              {"schema_version", "kind", "duration_ns", "hits", "dwells", "hazards", "crashes", "lost", "sites",
               "sites_armed", "armed_share", "ns_per_hit", "target_cost", "own_cpu_s", "own_rss_bytes"});
}

TEST(Text, AWatchThatHadNoPlaceIsNotCalledALostEvent) {
  EXPECT_EQ(to_text(LostReport{"ring", 1}, {}), "mapwatch: 1 event lost (ring); results may miss hazards\n");
  const std::string text = to_text(LostReport{"table", 2}, {});
  EXPECT_EQ(text.find("lost"), std::string::npos) << text;
  EXPECT_NE(text.find("2 watches"), std::string::npos) << text;
}

TEST(Json, OneLineOfAsciiWhateverTheTargetIsCalled) {
  HazardReport report = hazard();
  report.process.exe = "\xff\x1b\n\x7f\xc2\x9b\xe2\x80\xae größe";
  report.accesses[0].stack[0].func = std::string("a\0b", 3);
  const std::string text = to_json(report, {});
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  for (const char c : text.substr(0, text.size() - 1)) {
    EXPECT_TRUE(c >= 0x20 && c < 0x7f) << static_cast<int>(c);
  }
  EXPECT_TRUE(Json::accept(text));
}

TargetSummary target_summary() {
  TargetSummary target;
  target.pid = 4211;
  target.exe =
      "/srv/or\x1b"
      "ders";
  target.mode = "auto 1/20";
  target.sites = 5199;
  target.by_calls = true;
  target.armed_share = 0.974;
  target.seen_share = 0.05;
  target.cost = 0.0042;
  target.budget = 0.01;
  target.sites_used = 161;
  target.sites_never = 2;
  target.detect_half_ns = 1'200'000'000;
  return target;
}

TEST(Summary, TellsTheOddsOfEachTarget) {
  SummaryReport sum;
  EXPECT_FALSE(Json::parse(to_json(sum, {})).contains("targets")) << "a replay knows none";
  sum.targets.assign(kToldTargets + 3, target_summary());
  const std::string line =
      "4211 or\\x1bders: auto 1/20, 97.4 % of 5199 call sites armed, 5.0 % of operations seen, cost 0.42 % (budget 1 "
      "%); a race at one of 161 sites in use is seen within 1.2s at half of them, never at 95 %, never at 2\n";
  EXPECT_NE(to_text(sum, {}).find("mapwatch: " + line), std::string::npos) << to_text(sum, {});
  EXPECT_NE(to_text(sum, {}).find("mapwatch: 3 more processes; -o json tells of all\n"), std::string::npos);
  EXPECT_NE(to_compact(sum, {}).find("target " + line), std::string::npos);
  const Json json = Json::parse(to_json(sum, {}));
  ASSERT_EQ(json["targets"].size(), sum.targets.size());
  EXPECT_EQ(json["targets"][0]["pid"], 4211);
  EXPECT_EQ(json["targets"][0]["sites_never"], 2);
  EXPECT_EQ(json["targets"][0]["detect_half_ns"], 1'200'000'000u);
  EXPECT_EQ(json["targets"][0]["detect_most_ns"], nullptr);
  EXPECT_EQ(json["targets"][0]["sharing"], 1);
  EXPECT_EQ(json["targets"][0]["decides"], nullptr);
}

TEST(Summary, TellsWhoDecidesWhereProcessesShareTheirProbes) {
  SummaryReport sum;
  sum.targets.assign(1, target_summary());
  TargetSummary& target = sum.targets.front();
  target.sharing = 12;
  target.decides = 977;
  target.decides_cost = 0.0093;
  EXPECT_NE(
      to_text(sum, {}).find("; 12 processes share these probes, PID 977 is nearest to its bound (cost 0.93 %) and "
                            "decides; a race"),
      std::string::npos)
      << to_text(sum, {});
  const Json json = Json::parse(to_json(sum, {}));
  EXPECT_EQ(json["targets"][0]["sharing"], 12);
  EXPECT_EQ(json["targets"][0]["decides"], 977);
  EXPECT_EQ(json["targets"][0]["decides_cost"], 0.0093);
  target.decides = target.pid;
  EXPECT_NE(to_text(sum, {}).find("this one is nearest to its bound and decides"), std::string::npos);
}

TEST(Json, NumbersThatAreNone) {
  SummaryReport sum;
  sum.target_cost = 0.0 / 0.0;
  EXPECT_EQ(Json::parse(to_json(sum, {}))["target_cost"], 0.0);
}

TEST(Text, HasTheDocumentedLines) {
  const std::string text = to_text(hazard(), {});
  EXPECT_NE(text.find("\nWARNING: CONCURRENT MAP ACCESS\n"), std::string::npos);
  CrashReport crash;
  crash.reason = "concurrent map writes";
  EXPECT_NE(to_text(crash, {}).find("\nCRASH CAPTURED: fatal error: concurrent map writes\n"), std::string::npos);
}

TEST(Text, ColourOnlyWhenAsked) {
  EXPECT_EQ(to_text(hazard(), {}).find('\x1b'), std::string::npos);
  EXPECT_EQ(to_compact(hazard(), {}).find('\x1b'), std::string::npos);
  Style colored;
  colored.color = true;
  EXPECT_NE(to_text(hazard(), colored).find("\x1b[1;31m"), std::string::npos);
  EXPECT_EQ(to_json(hazard(), colored).find('\x1b'), std::string::npos);
}

TEST(Format, Words) {
  EXPECT_EQ(ordinal(1), "1st");
  EXPECT_EQ(ordinal(2), "2nd");
  EXPECT_EQ(ordinal(3), "3rd");
  EXPECT_EQ(ordinal(11), "11th");
  EXPECT_EQ(ordinal(112), "112th");
  EXPECT_EQ(ordinal(121), "121st");
  EXPECT_EQ(human_duration(0), "0ns");
  EXPECT_EQ(human_duration(999), "999ns");
  EXPECT_EQ(human_duration(1'800), "1.8us");
  EXPECT_EQ(human_duration(41'000'000), "41ms");
  EXPECT_EQ(human_duration(1'350'000'000), "1.3s");
  EXPECT_EQ(human_duration(59'999'999'999), "59s");
  EXPECT_EQ(human_duration(125'000'000'000), "2m05s");
  EXPECT_EQ(human_duration(12'000'000'000'000), "3h20m");
  EXPECT_EQ(padded_address(0xc0000a4060), "0x00c0000a4060");
}

TEST(Format, HowTheOtherSideOfACrashIsKnown) {
  CrashReport crash;
  crash.time_ns = 1'000'000'000;
  crash.other.emplace();
  const auto known = [&](correlate::Attribution attribution, std::uint64_t time_ns) {
    crash.other->attribution = attribution;
    crash.other->time_ns = time_ns;
    return how_known(crash);
  };
  using correlate::Attribution;
  EXPECT_EQ(known(Attribution::kInside, 0), "inside it when the process stood still");
  EXPECT_EQ(known(Attribution::kInside, 999'000'000),
            "inside it when the process stood still, begun 1.0ms before the crash");
  EXPECT_EQ(known(Attribution::kInside, 1'000'019'000),
            "inside it when the process stood still, begun 19us after the crash");
  EXPECT_EQ(known(Attribution::kObserved, 0), "as mapwatch saw it before");
  EXPECT_EQ(known(Attribution::kObserved, 999'000'000), "as mapwatch saw it 1.0ms before the crash");
  EXPECT_EQ(known(Attribution::kLastWriter, 0), "the last writer recorded before");
  EXPECT_EQ(known(Attribution::kLastWriter, 999'000'000),
            "the last writer recorded before, begun 1.0ms before the crash");
}

TEST(Json, TheOtherSidesDistanceFromTheCrash) {
  CrashReport crash;
  crash.time_ns = 1'000;
  crash.map_by_arguments = true;
  crash.other.emplace();
  crash.other->attribution = correlate::Attribution::kInside;
  EXPECT_EQ(nlohmann::json::parse(to_json(crash, {}))["other"]["before_crash_ns"], nullptr);
  crash.other->time_ns = 1'250;
  const auto json = nlohmann::json::parse(to_json(crash, {}));
  EXPECT_EQ(json["other"]["before_crash_ns"], -250);
  EXPECT_EQ(json["other"]["attribution"], "inside");
  EXPECT_EQ(json["map_by_arguments"], true);
}

TEST(Format, StripsAPrefixOnly) {
  EXPECT_EQ(stripped_file("/srv/app/cache.go", "/srv/app"), "cache.go");
  EXPECT_EQ(stripped_file("/srv/app/cache.go", "/srv/app/"), "cache.go");
  EXPECT_EQ(stripped_file("/srv/app/cache.go", "/app"), "/srv/app/cache.go");
  EXPECT_EQ(stripped_file("/srv/app/cache.go", ""), "/srv/app/cache.go");
}

}  // namespace
}  // namespace mapwatch::report
