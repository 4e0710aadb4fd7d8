#include "dossier/crash_files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "dossier/goroutine_json.h"
#include "forensics/fake_process.h"

namespace mapwatch::dossier {
namespace {

using nlohmann::json;

class CrashFiles : public testing::Test, public test::FakeProcess {
 protected:
  CrashFiles() {
    report_.id = "mw-7f3a91c2";
    report_.reason = "concurrent map writes";
    report_.wall_ns = 1'795'470'062'123'000'000;  // 2026-11-23T21:41:02.123Z
    report_.process.pid = 4211;
    report_.dossier = "/var/lib/mapwatch/dossiers/x";
  }
  std::vector<DossierFile> files(const std::optional<elf::BuildInfo>& build = {}) {
    const auto process_of = forensics::GoProcess::of(binary(), 0);
    return crash_files(facts_, decode_crash(facts_, process_of, report_.map.addr), process_of, build, report_);
  }
  static std::string text_of(const std::vector<DossierFile>& files, std::string_view name) {
    const auto found = std::ranges::find(files, name, &DossierFile::name);
    EXPECT_NE(found, files.end()) << name;
    return found == files.end() ? "" : found->text;
  }

  CrashFacts facts_;
  report::CrashReport report_;
};

TEST_F(CrashFiles, IdsSortByTime) { EXPECT_EQ(crash_id(report_), "20261123T214102.123Z-4211-mw-7f3a91c2"); }

TEST_F(CrashFiles, WhatCouldNotBeCopiedIsSaidAndNotMadeUp) {
  facts_.notes = {"goroutines: half of --max-freeze was over before all of them were copied", "map: not known"};
  const auto all = files();
  const std::string report = text_of(all, "report.txt");
  EXPECT_NE(report.find("CRASH CAPTURED: fatal error: concurrent map writes"), std::string::npos);
  EXPECT_NE(report.find("Not complete: goroutines: half of --max-freeze was over"), std::string::npos);
  EXPECT_NE(report.find("Not complete: map: not known"), std::string::npos);
  for (const char* name : {"goroutines.txt", "maps.json", "map.svg", "buildinfo.txt"}) {
    EXPECT_EQ(std::ranges::find(all, name, &DossierFile::name), all.end()) << name;
  }
}

TEST_F(CrashFiles, TheReportIsTheCrashObjectWithItsDossier) {
  const json report = json::parse(text_of(files(), "report.json"));
  EXPECT_EQ(report["kind"], "crash");
  EXPECT_EQ(report["dossier"], "/var/lib/mapwatch/dossiers/x");
}

TEST_F(CrashFiles, RegistersAsHexadecimalText) {
  ThreadState thread{7, {}};
  thread.registers.rip = 0xffffffff81000000;
  thread.registers.r15 = 0x2a;
  facts_.threads = {thread};
  const json threads = json::parse(text_of(files(), "registers.json"))["threads"];
  ASSERT_EQ(threads.size(), 1u);
  EXPECT_EQ(threads[0]["tid"], 7);
  EXPECT_EQ(threads[0]["rip"], "0xffffffff81000000");
  EXPECT_EQ(threads[0]["r15"], "0x2a");
}

TEST_F(CrashFiles, TextOfTheTargetIsHarmless) {
  facts_.maps = "00400000-00500000 r-xp 00000000 08:01 7\t/srv/\x1b[31m\n7f0000000000-7f0000001000 r--p\n";
  elf::BuildInfo build;
  build.version.text = "go1.26.8\x1b]0;x\x07";
  build.path = "main\nbuild\t-evil=1";
  build.settings = {{"-ldflags", "\x9b"}};
  const auto all = files(build);
  EXPECT_EQ(text_of(all, "maps.txt"),
            "00400000-00500000 r-xp 00000000 08:01 7\t/srv/\\x1b[31m\n7f0000000000-7f0000001000 r--p\n");
  EXPECT_EQ(text_of(all, "buildinfo.txt"),
            "go\tgo1.26.8\\x1b]0;x\\x07\npath\tmain\\x0abuild\\x09-evil=1\nbuild\t-ldflags=\\x9b\n");
}

TEST_F(CrashFiles, TheEnvironmentsNamesAndNoValue) {
  const std::string text = env_names_text({"PATH=/bin", "DATABASE_URL=postgres://u:secret@db", "secret alone",
                                           "=secret", "A\x1b[2J=secret", "PATH=again", "EMPTY="});
  EXPECT_EQ(text, "A\\x1b[2J\nDATABASE_URL\nEMPTY\nPATH\n(2 entries without a name are left out)\n");
  facts_.environment = text;
  EXPECT_EQ(text_of(files(), "env-names.txt"), text);
  EXPECT_EQ(env_names_text({}), "");
  std::vector<std::string> many;
  for (int i = 0; i < 5000; ++i) {
    many.push_back("NAME" + std::to_string(i) + std::string(5000, 'x') + "=1");
  }
  EXPECT_LT(env_names_text(many).size(), 300'000u);
  EXPECT_NE(env_names_text(many).find("the rest is left out"), std::string::npos);
}

TEST_F(CrashFiles, AGoroutineAsJson) {
  forensics::Goroutines all;
  forensics::Goroutine one;
  one.id = 7;
  one.status = forensics::GStatus::kRunning;
  one.thread = 99;
  one.go_pc = inside("main.main");
  one.frames.push_back({inside("main.main"), 0, binary().find("main.main")->entry, false, false});
  one.labels = 1;
  one.doubt = forensics::StackDoubt::kTorn;
  one.channels = {0xc000012340};
  all.labels.push_back({{"user", "\x1b[0m\xff"}});
  FrameNames names(binary(), 0);
  const json object = json::parse(goroutine_json(all, one, names));
  EXPECT_EQ(object["goid"], 7);
  EXPECT_EQ(object["state"], "running");
  EXPECT_EQ(object["tid"], 99);
  EXPECT_EQ(object["parent"], nullptr);
  EXPECT_EQ(object["doubt"], "torn");
  EXPECT_EQ(object["stack"][0]["func"], "main.main");
  EXPECT_EQ(object["created_by"]["func"], "main.main");
  EXPECT_EQ(object["channels"], json({"0xc000012340"}));
  EXPECT_EQ(object["labels"]["user"], "\\x1b[0m\\xff");
  one.id = 1;
  EXPECT_EQ(json::parse(goroutine_json(all, one, names))["created_by"], nullptr) << "made by assembly at the start";
}

TEST(SchedulerJson, SaysWhoRunsWhat) {
  forensics::Goroutines all;
  all.scheduler.known = true;
  all.scheduler.gc_phase = 1;
  forensics::Processor p;
  p.id = 3;
  p.status = forensics::PStatus::kRunning;
  p.goroutine = 27;
  p.queue = {5, 6};
  all.processors = {p};
  forensics::Machine m;
  m.id = 2;
  m.thread = 4219;
  m.throwing = 1;
  all.machines = {m};
  const json object = json::parse(scheduler_json(all));
  EXPECT_EQ(object["gc_phase"], 1);
  EXPECT_EQ(object["processors"][0]["status"], "running");
  EXPECT_EQ(object["processors"][0]["m"], nullptr);
  EXPECT_EQ(object["processors"][0]["queue"], json({5, 6}));
  EXPECT_EQ(object["threads"][0]["tid"], 4219);
  EXPECT_EQ(object["threads"][0]["p"], nullptr);
  EXPECT_EQ(object["threads"][0]["throwing"], 1);
}

}  // namespace
}  // namespace mapwatch::dossier
