#include "app/alert_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace mapwatch::app {
namespace {

using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::Not;
using testing::StartsWith;

symbolize::Frame frame(const char* func, const char* file, int line) {
  symbolize::Frame out;
  out.func = func;
  out.file = file;
  out.line = line;
  out.user = true;
  return out;
}

report::HazardReport hazard() {
  report::HazardReport out;
  out.id = "mw-7f3a91c2";
  out.wall_ns = 77;
  out.process = {4211, 1, "/srv/app/orders", "go1.26.8", "abc", "/app.slice"};
  out.map = {0xc0000a4060, "map[string]int", 3};
  out.accesses[0].op = MW_OP_WRITE;
  out.accesses[0].stack = {frame("main.(*cache).put", "/srv/app/cache.go", 7)};
  out.accesses[1].op = MW_OP_READ;
  out.accesses[1].stack = {frame("main.(*cache).get", "/srv/app/cache.go", 8)};
  return out;
}

report::CrashReport crash() {
  report::CrashReport out;
  out.id = "mw-9c41e07d";
  out.process = hazard().process;
  out.crash_class = "write_write";
  out.reason = "concurrent map writes";
  out.dossier = "/var/lib/mapwatch/dossiers/x";
  out.stack = {frame("main.(*cache).put", "/srv/app/cache.go", 7)};
  return out;
}

TEST(Labels, SayWhatItIsAndNotWhereItWasSeen) {
  correlate::Hazard found;
  found.id = "mw-1";
  found.tgid = 4211;
  found.accesses[0].op = MW_OP_READ;
  found.accesses[1].op = MW_OP_WRITE;
  EXPECT_EQ(labels_of(found, hazard().process, "web-3"), (alert::Labels{{"alertname", "MapwatchConcurrentMapAccess"},
                                                                        {"exe", "/srv/app/orders"},
                                                                        {"id", "mw-1"},
                                                                        {"instance", "web-3"},
                                                                        {"kind", "read_write"},
                                                                        {"severity", "warning"}}));
  correlate::Crash died;
  died.id = "mw-2";
  died.crash_class = "write_write";
  const alert::Labels labels = labels_of(died, {}, "web-3");
  EXPECT_EQ(labels.at("severity"), "critical");
  EXPECT_EQ(labels.at("exe"), "unknown");
  EXPECT_EQ(labels.at("kind"), "write_write");
}

TEST(Annotations, TellBothSides) {
  const alert::Labels told = annotations_of(hazard(), {});
  EXPECT_THAT(told.at("summary"), HasSubstr("main.(*cache).put /srv/app/cache.go:7 <> main.(*cache).get"));
  EXPECT_THAT(told.at("description"), StartsWith("WARNING: CONCURRENT MAP ACCESS"));
  EXPECT_EQ(told.at("pid"), "4211");
  EXPECT_EQ(told.at("map_type"), "map[string]int");
  EXPECT_EQ(told.at("evidence"), "proven");
  const alert::Labels died = annotations_of(crash(), {});
  EXPECT_EQ(died.at("reason"), "concurrent map writes");
  EXPECT_EQ(died.at("dossier"), "/var/lib/mapwatch/dossiers/x");
  EXPECT_THAT(annotations_of(report::LostReport{}, {}), IsEmpty());
}

TEST(Annotations, AreBoundedAndHarmless) {
  report::HazardReport report = hazard();
  report.accesses[0].stack.assign(64, frame("main.\x1b[2J\n", std::string(500, 'f').c_str(), 1));
  report.process.exe = "/a\x1b[31m\nb";
  report.process.cgroup = "\x1b]0;x\x07";
  const alert::Labels told = annotations_of(report, {true, true, ""});
  EXPECT_LE(told.at("description").size(), 8192u + 4);
  for (const auto& [name, value] : told) {
    EXPECT_EQ(value.find('\x1b'), std::string::npos) << name;
    EXPECT_EQ(value.find('\x07'), std::string::npos) << name;
  }
}

TEST(JournalFields, AreThoseOfSystemdAndOurOwn) {
  const std::vector<std::string> fields = journal_fields(hazard(), {});
  for (const char* field : {"PRIORITY=4", "OBJECT_PID=4211", "MAPWATCH_KIND=hazard", "MAPWATCH_ID=mw-7f3a91c2",
                            "MAPWATCH_CLASS=read_write", "MAPWATCH_SEVERITY=proven", "CODE_FILE=/srv/app/cache.go",
                            "CODE_LINE=7", "CODE_FUNC=main.(*cache).put", "MAPWATCH_EXE=/srv/app/orders"}) {
    EXPECT_THAT(fields, Contains(field));
  }
  EXPECT_THAT(fields.front(), StartsWith("MESSAGE=orders[4211] PROVEN"));
  EXPECT_THAT(fields.back(), StartsWith("MAPWATCH_JSON={"));
  EXPECT_EQ(nlohmann::json::parse(fields.back().substr(14))["id"], "mw-7f3a91c2");
  const std::vector<std::string> died = journal_fields(crash(), {});
  EXPECT_THAT(died, Contains("PRIORITY=2"));
  EXPECT_THAT(died, Contains("MAPWATCH_DOSSIER=/var/lib/mapwatch/dossiers/x"));
  EXPECT_THAT(journal_fields(report::SummaryReport{}, {}), IsEmpty());
}

}  // namespace
}  // namespace mapwatch::app
