// report.html: nothing of the target acts on the page, nothing is loaded, a million goroutines are a page. That a
// browser shows it and that its tags fit is for the e2e case dossier/html.
#include "dossier/report_html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "base/sha256.h"
#include "dossier/markup.h"
#include "dossier/timeline_files.h"
#include "forensics/fake_process.h"

namespace mapwatch::dossier {
namespace {

using forensics::Goroutine;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kHostile =
    "</style></script><script>alert(1)</script><img src=x onerror='a(\"b\")'>\x1b[2J&";

class ReportHtml : public testing::Test, public test::FakeProcess {
 protected:
  ReportHtml() : names_(binary(), 0) {
    report_.id = "mw-7f3a91c2";
    report_.reason = "concurrent map writes";
    report_.crash_class = "write_write";
    report_.op = MW_OP_WRITE;
    report_.wall_ns = 1'795'470'062'123'000'000;  // 2026-11-23T21:41:02.123Z
    report_.process.pid = 4211;
    report_.process.exe = "/srv/app";
    report_.goid = 7;
  }
  std::string page() {
    groups_ = group_goroutines(goroutines_, names_, {false, report_.goid});
    return report_html({report_, notes_, map_ ? &*map_ : nullptr, &goroutines_, &groups_, &names_, "",
                        company_ ? &*company_ : nullptr});
  }
  /// Goroutines of one id after the other, all parked at `pc`.
  void parked(std::uint64_t first, std::size_t count, std::uint64_t pc) {
    for (std::size_t i = 0; i < count; ++i) {
      Goroutine goroutine;
      goroutine.id = first + i;
      goroutine.status = forensics::GStatus::kWaiting;
      goroutine.frames.push_back({pc, 0, binary().find("main.main")->entry, false, false});
      goroutines_.list.push_back(std::move(goroutine));
    }
  }
  static symbolize::Frame frame(std::string func) {
    symbolize::Frame frame;
    frame.func = std::move(func);
    frame.file = "/srv/app/cache.go";
    frame.line = 19;
    frame.user = true;
    return frame;
  }

  report::CrashReport report_;
  std::vector<std::string> notes_;
  std::optional<forensics::MapPicture> map_;
  std::optional<CompanyView> company_;
  forensics::Goroutines goroutines_;
  std::vector<GoroutineGroup> groups_;
  FrameNames names_;
};

TEST(Markup, NothingIsLeftThatActs) {
  EXPECT_EQ(markup("<a href=\"x\">'&\x1b\n"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\\x1b\\x0a");
  EXPECT_EQ(markup_lines("<b>\n\t&\x7f"), "&lt;b&gt;\n\t&amp;\\x7f");
  EXPECT_EQ(markup(std::string(5000, '<'), 8), "&lt;&lt;&lt;&lt;&lt;...");
}

TEST_F(ReportHtml, ThePolicyAllowsThePagesOwnStyleAndScriptAndNothingElse) {
  const std::string text = page();
  const auto between = [&](const std::string& begin, const std::string& end) {
    const std::size_t at = text.find(begin) + begin.size();
    return text.substr(at, text.find(end, at) - at);
  };
  EXPECT_EQ(between("Content-Security-Policy\" content=\"", "\">"),
            "default-src 'none'; style-src 'sha256-" + sha256_base64(between("<style>", "</style>")) +
                "'; script-src 'sha256-" + sha256_base64(between("<script>", "</script>")) +
                "'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'");
  EXPECT_FALSE(std::regex_search(text, std::regex("\\b(src|href|style|on[a-z]+)=", std::regex::icase)));
  EXPECT_THAT(text, Not(HasSubstr("url(")));
  EXPECT_THAT(text, Not(HasSubstr("@import")));
}

TEST_F(ReportHtml, TextOfTheTargetIsText) {
  const std::string hostile(kHostile);
  report_.reason = report_.crash_class = report_.process.exe = report_.process.go = report_.process.cgroup =
      report_.process.build_id = report_.map.type = hostile;
  report_.map.addr = 0xc000010000;
  report_.stack = {frame(hostile)};
  report_.stack[0].file = hostile;
  report_.created_by = report_.stack[0];
  report_.other.emplace();
  report_.other->stack = report_.stack;
  notes_ = {hostile};
  map_.emplace();
  map_->type_name = map_->partial = map_->hashes.unavailable = map_->growth.why = hostile;
  map_->findings.push_back({forensics::MapDefect::kCount, 1, {{0xc000010000, hostile}}, false});
  const std::string text = page();
  EXPECT_THAT(text, HasSubstr("&lt;script&gt;alert(1)"));
  for (const char* bad : {"<script>alert", "<img", "</style></script>", "\x1b"}) {
    EXPECT_THAT(text, Not(HasSubstr(bad)));
  }
}

TEST_F(ReportHtml, WhatGoDoesNotPrintComesFirst) {
  report_.stack = {frame("main.reader")};
  EXPECT_THAT(page(), HasSubstr("an unknown goroutine"));
  EXPECT_LT(page().find("main.reader()"), page().find("mapwatch saw no writer of this map before"));
  report_.other.emplace();
  report_.other->op = MW_OP_WRITE;
  report_.other->goid = 8;
  report_.other->stack = {frame("main.writer")};
  const std::string text = page();
  EXPECT_LT(text.find("main.writer()"), text.find("main.reader()"));
  EXPECT_LT(text.find("<section id=\"timeline\">"), text.find(kTimelineSlot));
}

TEST_F(ReportHtml, WhoElseIsOnTheMapComesBetweenTheSidesAndTheTimeline) {
  EXPECT_THAT(page(), Not(HasSubstr("id=\"company\""))) << "without goroutines nobody knows";
  company_.emplace();
  company_->map = "0x00c000010000";
  company_->inside.items = {{"goroutine 9 [running]", "inside its write", true, std::nullopt}};
  company_->variables.items = {"variable main.cache, in .bss 0x5a3c20"};
  const std::string text = page();
  EXPECT_LT(text.find("<section id=\"sides\">"), text.find("<section id=\"company\">"));
  EXPECT_LT(text.find("<section id=\"company\">"), text.find("<b>goroutine 9 [running]</b>: inside its write"));
  EXPECT_LT(text.find("variable main.cache"), text.find("<section id=\"timeline\">"));
}

TEST_F(ReportHtml, EqualGoroutinesAreOneItemWhoseNumbersAreRanges) {
  parked(10, 200'000, inside("main.main"));
  parked(7, 1, inside("main.main") + 1);
  const std::string text = page();
  EXPECT_THAT(text, HasSubstr("200,001 goroutines in 2 groups"));
  EXPECT_THAT(text, HasSubstr("<span class=\"ids\">10-200009</span>"));
  EXPECT_LT(text.find("<span class=\"tag\">crashes</span>"), text.find("10-200009"));
  EXPECT_LT(text.size(), 100'000u);
}

TEST_F(ReportHtml, ScatteredNumbersAreCut) {
  for (std::uint64_t id = 1; id < 2000; id += 2) {
    parked(id, 1, inside("main.main"));
  }
  EXPECT_THAT(page(), HasSubstr(", 399, ...</span>"));
}

TEST_F(ReportHtml, GroupsBeyondTheLimitAreCountedAndNotShown) {
  for (std::uint64_t i = 0; i < 3000; ++i) {
    parked(100 + 2 * i, 2, inside("main.main"));
    goroutines_.list.rbegin()[0].go_pc = goroutines_.list.rbegin()[1].go_pc = inside("main.main") + i;
    for (Goroutine* one : {&goroutines_.list.rbegin()[0], &goroutines_.list.rbegin()[1]}) {
      one->frames.assign(100, one->frames[0]);
    }
  }
  const std::string text = page();
  std::smatch left_out;
  ASSERT_TRUE(std::regex_search(text, left_out, std::regex("([0-9,]+) more groups with ([0-9,]+) goroutines")));
  std::size_t items = 0;
  for (std::size_t at = text.find("<details"); at != std::string::npos; at = text.find("<details", at + 1)) {
    ++items;
  }
  std::string count = left_out[1];
  count.erase(std::remove(count.begin(), count.end(), ','), count.end());
  EXPECT_EQ(items + std::stoul(count), 3000u);
  EXPECT_GT(items, 10u);
  EXPECT_LT(text.size(), std::size_t{4} << 20);
}

TEST_F(ReportHtml, AHugeSchedulerIsCutAtALine) {
  goroutines_.machines.resize(20'000);
  const std::string text = page();
  EXPECT_THAT(text, HasSubstr("\n... more: report.txt\n</pre>"));
  EXPECT_LT(text.size(), std::size_t{1} << 20);
}

}  // namespace
}  // namespace mapwatch::dossier
