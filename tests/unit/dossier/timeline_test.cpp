#include "dossier/timeline.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/manual_clock.h"
#include "dossier/timeline_files.h"
#include "dossier/timeline_fixture.h"

namespace mapwatch::dossier {
namespace {

using nlohmann::json;

using Words = std::vector<std::string>;

TEST_F(TimelineTest, WhatHappenedInItsOrder) {
  hazard("b", kCrash - 10 * kMs, kCrash - 9 * kMs, 0xc000);
  hazard("a", kCrash - 20 * kMs, kCrash - 19 * kMs, 0xd000);
  facts_.go.init_ns = static_cast<std::int64_t>(kAttached - kMs);
  facts_.ending.others = {{kCrash + 6 * kMs, 9, 4034}};
  EXPECT_EQ(words(), (Words{"go_started", "attached", "hazard", "hazard", "fatal", "let_go", "go_says", "other_fatal",
                            "exit", "gone"}));
  const Timeline timeline = build();
  EXPECT_TRUE(timeline.complete);
  EXPECT_TRUE(timeline.missing.empty()) << missing();
  EXPECT_EQ(timeline.events[2].hazard, "a");
  EXPECT_EQ(timeline.events[2].same_map, false);
  EXPECT_EQ(timeline.events[3].same_map, true);
  EXPECT_EQ(timeline.stderr_bytes, 767u);
}

TEST_F(TimelineTest, AMapThatIsNotKnownIsNeitherTheSameNorAnother) {
  hazard("a", kCrash - 20 * kMs, kCrash - 19 * kMs, 0xd000);
  crash_.map.addr = 0;
  EXPECT_FALSE(build().events[1].same_map);
  EXPECT_EQ(json::parse(timeline_json(build()))["events"][1]["same_map"], nullptr);
}

TEST_F(TimelineTest, EventsOfOneInstantKeepTheOrderOfWhatMustBe) {
  facts_.let_go_ns = facts_.ending.calls->go_ns = facts_.ending.calls->exit_ns = kCrash;
  facts_.ending.gone_ns = kCrash;
  facts_.ending.calls->first_ns = kCrash;
  EXPECT_EQ(words(), (Words{"attached", "fatal", "let_go", "go_says", "exit", "gone"}));
  EXPECT_TRUE(build().missing.empty()) << missing();
}

TEST_F(TimelineTest, AWriteThatIsNotGosIsAnEventOfItsOwn) {
  facts_.ending.calls->first_ns = kCrash + 4 * kMs + 1;
  facts_.ending.calls->first_tid = 4040;
  EXPECT_EQ(words(), (Words{"attached", "fatal", "let_go", "other_write", "go_says", "exit", "gone"}));
  EXPECT_NE(timeline_text(build()).find("a write on stderr that is not Go's error [thread 4040]"), std::string::npos);
}

TEST_F(TimelineTest, AThreadThatAlsoDiesGoesOnWithGosWords) {
  facts_.ending.others = {{kCrash + 1, 23, 4040}};
  facts_.ending.calls->first_ns = kCrash + 4 * kMs + 1;
  facts_.ending.calls->first_tid = 4040;
  facts_.ending.calls->go_ns = 0;
  EXPECT_EQ(words(), (Words{"attached", "fatal", "other_fatal", "let_go", "go_says", "exit", "gone"}));
  EXPECT_EQ(build().events[4].tid, 4040u);
  EXPECT_EQ(build().missing.size(), 1u) << missing();
  facts_.ending.calls->first_tid = 4041;  // somebody else: nothing is known of the words that 23 may have begun
  EXPECT_EQ(words(), (Words{"attached", "fatal", "other_fatal", "let_go", "other_write", "exit", "gone"}));
  EXPECT_EQ(build().missing.size(), 1u) << missing();
}

TEST_F(TimelineTest, TimesThatCannotBeAreTold) {
  facts_.ending.calls->exit_ns = kCrash + 4 * kMs + 5;
  EXPECT_EQ(missing(), "exit comes before go_says: one of their times is wrong\n");
}

TEST_F(TimelineTest, WhoIsContinuedByOthersMaySpeakBeforeItIsLetGo) {
  facts_.stood_still = false;
  facts_.ending.calls->first_ns = facts_.ending.calls->go_ns = facts_.let_go_ns - 5;
  EXPECT_EQ(missing(), "somebody else continued the process before it was let go: what it did until then\n");
}

TEST_F(TimelineTest, WithoutTheKernelsEyesItSaysWhy) {
  facts_.ending.calls.reset();
  facts_.ending.blind = "no\x1bsuch program";
  EXPECT_EQ(words(), (Words{"attached", "fatal", "let_go", "gone"}));
  EXPECT_EQ(missing(), "Go's first byte on stderr and the exit: no\\x1bsuch program\n");
}

TEST_F(TimelineTest, AProcessThatASignalEnded) {
  facts_.ending.calls->exit_ns = 0;
  EXPECT_EQ(missing(), "exit_group(2) was not called: a signal ended the process\n");
}

TEST_F(TimelineTest, AProcessThatTakesLongToDie) {
  facts_.ending.calls->exit_ns = 0;
  facts_.ending.calls->go_ns = facts_.ending.calls->first_ns = 0;
  facts_.ending.calls_until_ns = kCrash + 1'004 * kMs;
  facts_.ending.gone_ns.reset();
  EXPECT_EQ(missing(),
            "Go's error did not come to stderr (descriptor 2) within 1.0s of being let go, after which nobody looked\n"
            "exit_group(2) was not called within 1.0s of being let go, after which nobody looked\n"
            "the process had not ended when mapwatch stopped to wait for it\n");
  facts_.ending.gone_ns = kCrash + 9'000 * kMs;  // later than the kernel side looked
  EXPECT_EQ(words().back(), "gone");
  EXPECT_NE(missing().find("exit_group(2) was not called within 1.0s"), std::string::npos) << missing();
}

TEST_F(TimelineTest, WhatIsNotOverYetMissesNothingButTheEnd) {
  facts_.ending = {};
  facts_.ending.calls = mw_dying{};
  EXPECT_EQ(missing(), "the process had not ended when this was written\n");
  EXPECT_FALSE(build().complete);
}

TEST_F(TimelineTest, WhoMayHavePrintedBeforeTheStop) {
  facts_.ending.others = {{kCrash + 1, 9, 4034}};
  EXPECT_EQ(missing(),
            "goroutine 9 reached the fatal path before the process stood still: what it printed until then was not "
            "seen\n");
}

TEST_F(TimelineTest, AHazardThatWasPrintedAfterTheCrashIsNoWarning) {
  hazard("a", kCrash - 2 * kMs, kCrash + kMs, 0xc000);
  EXPECT_NE(timeline_text(build()).find("hazard a of this very map, printed 3.0ms later: after the crash"),
            std::string::npos)
      << timeline_text(build());
}

TEST_F(TimelineTest, TextIsRelativeToTheCrashAndHarmless) {
  crash_.reason = "x\x1b]0;\x07";
  EXPECT_EQ(timeline_text(build()),
            "Timeline by the kernel's monotonic clock; 0 is 2026-11-23T21:41:02.123000000Z:\n"
            "     -12.000000s  mapwatch attached: all probes stood\n"
            "               0  fatal error: x\\x1b]0;\\x07: goroutine 7 [thread 4033]; the process was sent SIGSTOP\n"
            "      +0.004000s  all was copied: let go\n"
            "      +0.005000s  first byte of Go's error on stderr [thread 4033]\n"
            "      +0.007000s  exit_group(2), status 2\n"
            "      +0.008000s  known to have ended\n"
            "Clocks:   wall clock not set between attaching and the crash (within 140ns)\n"
            "Go:       nanotime is the monotonic clock\n"
            "Stderr:   unreadable: descriptor 2 could not be looked at\n"
            "Journal:  unreadable: no journald here\n"
            "Kernel:   silent: nothing of this process since the crash, as it should be\n");
}

TEST_F(TimelineTest, ARowOfThePageHasBothTimesAndIsHarmless) {
  crash_.reason = "<script>\x1b";
  facts_.ending.calls.reset();
  facts_.ending.blind = "<b>";
  const std::string html = timeline_html(build());
  EXPECT_NE(html.find("<tr><td>2026-11-23T21:41:02.127000000Z</td><td>+0.004000s</td><td>all was copied: let go</td>"),
            std::string::npos)
      << html;
  EXPECT_NE(html.find("<tr class=\"user\"><td>2026-11-23T21:41:02.123000000Z</td><td>0</td>"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;\\x1b"), std::string::npos) << html;
  EXPECT_NE(html.find("<dt>Missing</dt><dd>Go&#39;s first byte on stderr and the exit: &lt;b&gt;</dd>"),
            std::string::npos)
      << html;
}

TEST_F(TimelineTest, JsonHasBothClocks) {
  hazard("mw-1", kCrash - 20 * kMs, kCrash - 19 * kMs, 0xc000);
  const json object = json::parse(timeline_json(build()));
  EXPECT_EQ(object["schema_version"], 1);
  EXPECT_EQ(object["kind"], "timeline");
  EXPECT_EQ(object["complete"], true);
  EXPECT_EQ(object["clocks"]["crash"]["realtime_ns"], kWall);
  const json& fatal = object["events"][2];
  EXPECT_EQ(fatal["what"], "fatal");
  EXPECT_EQ(fatal["time_ns"], kCrash);
  EXPECT_EQ(fatal["time"], "2026-11-23T21:41:02.123000000Z");
  EXPECT_EQ(fatal["goid"], 7);
  EXPECT_EQ(object["events"][1]["printed_ns"], kCrash - 19 * kMs);
  EXPECT_EQ(object["events"][1]["offset_ns"], -20'000'000);
  EXPECT_EQ(object["events"][5]["status"], 2);
}

TEST_F(TimelineTest, GosClockInATimeNamespace) {
  facts_.go = {1'000'000'000'000, static_cast<std::int64_t>(kAttached) + 1'000'000'000'000 - 5,
               static_cast<std::int64_t>(kAttached) + 1'000'000'000'000 - 3};
  const Timeline timeline = build();
  EXPECT_EQ(timeline.events[0].moment, Moment::kGoStarted);
  EXPECT_EQ(timeline.events[0].at_ns, kAttached - 5);
  EXPECT_EQ(timeline.go_zero_ns, kAttached - 3);
  EXPECT_NE(timeline_text(timeline).find("nanotime is the monotonic clock +1000.000000s, of the process's time "
                                         "namespace; m=+0 in what package time prints is -12.000000s"),
            std::string::npos)
      << timeline_text(timeline);
}

class DriftTest : public testing::Test {
 protected:
  DriftTest() {
    clock_.set(5'000'000, 1'000'000'000);
    from_ = read_clocks(clock_);
  }
  test::ManualClock clock_;
  ClockReading from_;
};

TEST_F(DriftTest, NoneWhileTimePasses) {
  clock_.advance(3'600'000'000'000);
  const Drift found = drift(from_, read_clocks(clock_));
  EXPECT_EQ(found.step_ns, 0);
  EXPECT_EQ(found.slept_ns, 0u);
}

TEST_F(DriftTest, AStepIsToldFromASleep) {
  clock_.advance(1'000);
  clock_.step(-7'000);
  Drift found = drift(from_, read_clocks(clock_));
  EXPECT_EQ(found.step_ns, -7'000);
  EXPECT_EQ(found.slept_ns, 0u);
  clock_.sleep(9'000'000'000);
  found = drift(from_, read_clocks(clock_));
  EXPECT_EQ(found.step_ns, -7'000);
  EXPECT_EQ(found.slept_ns, 9'000'000'000u);
}

TEST_F(DriftTest, LessThanTheReadingsTookIsNone) {
  const ClockReading from{1'000, 50'000, 1'000, 40};
  EXPECT_EQ(drift(from, {2'000, 51'050, 2'000, 10}).step_ns, 0);
  EXPECT_EQ(drift(from, {2'000, 51'051, 2'000, 10}).step_ns, 51);
  EXPECT_EQ(drift(from, {2'000, 51'000, 2'040, 10}).slept_ns, 0u);
}

TEST_F(TimelineTest, AClockThatWasSetIsTold) {
  facts_.crash.realtime_ns += 1'500'000'000;
  EXPECT_NE(timeline_text(build()).find("wall clock set forward by 1.5s between attaching and the crash"),
            std::string::npos);
  facts_.crash.realtime_ns -= 4'000'000'000;
  EXPECT_NE(timeline_text(build()).find("wall clock set back by 2.5s"), std::string::npos);
  facts_.crash.realtime_ns += 2'500'000'000 + 60'000'000'000;
  facts_.crash.boottime_ns += 60'000'000'000;
  EXPECT_NE(timeline_text(build()).find("not set between attaching and the crash (within 140ns); the host slept for "
                                        "1m00s"),
            std::string::npos)
      << timeline_text(build());
}

TEST_F(TimelineTest, TakesItsPlaceInTheFilesOfADossier) {
  const std::vector<DossierFile> files = {{"report.txt", "above\n" + std::string(kTimelineSlot) + "below\n"},
                                          {"report.html", "<p>" + std::string(kTimelineSlot) + "</p>"},
                                          {"maps.txt", "x"}};
  const auto all = with_timeline(files, build());
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].text, "above\n" + timeline_text(build()) + "below\n");
  EXPECT_EQ(all[1].text, "<p>" + timeline_html(build()) + "</p>");
  EXPECT_EQ(all[2].text, "x");
  EXPECT_EQ(all[3].name, "timeline.json");
  EXPECT_TRUE(has_timeline_slot(files[1]));
  EXPECT_FALSE(has_timeline_slot(files[2]));
}

}  // namespace
}  // namespace mapwatch::dossier
