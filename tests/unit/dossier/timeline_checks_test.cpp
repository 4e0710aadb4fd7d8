#include "dossier/timeline_checks.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "dossier/timeline_fixture.h"

namespace mapwatch::dossier {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

class WitnessTest : public TimelineTest {
 protected:
  WitnessTest() {
    seen_.err.kind = witness::StderrKind::kFile;
    seen_.err.name = "/var/log/a.log";
    seen_.err.growth = {767, "fatal error: concurrent map writes\n\ngoroutine 7 [running]:\n"};
    seen_.journal.there = seen_.journal.asked = true;
  }
  /// "stderr agrees: ..."
  std::string check(std::string_view witness) const {
    for (const Check& one : build().checks) {
      if (one.witness == witness) {
        return fmt::format("{}: {}", verdict_word(one.verdict), one.text);
      }
    }
    return "";
  }
  WitnessesSeen& seen_ = facts_.witnesses.emplace();
};

TEST_F(WitnessTest, AFileThatGotGosWords) {
  EXPECT_EQ(check("stderr"), "agrees: /var/log/a.log got 767 bytes, with Go's error");
  seen_.err.growth->bytes = 900;
  EXPECT_EQ(check("stderr"),
            "agrees: /var/log/a.log got 900 bytes, with Go's error; 767 are the process's own since it was let go");
  seen_.err.growth->bytes = 700;
  EXPECT_EQ(check("stderr"), "differs: /var/log/a.log got 700 bytes, with Go's error, but 767 were written");
  facts_.ending.calls_until_ns = *facts_.ending.gone_ns - 1;  // not all of them were noted
  EXPECT_EQ(check("stderr"), "agrees: /var/log/a.log got 700 bytes, with Go's error");
}

TEST_F(WitnessTest, AFileWhereTwoGoroutinesSpeakAtOnce) {
  seen_.err.growth = {90, "fatal error: fatal error: concurrent map read and map write\nconcurrent map writes\n\n"};
  EXPECT_EQ(check("stderr").substr(0, 8), "differs:");  // fewer bytes than were written, but Go's error
  seen_.err.growth->bytes = 767;
  EXPECT_EQ(check("stderr"), "agrees: /var/log/a.log got 767 bytes, with Go's error");
}

TEST_F(WitnessTest, AFileWithoutThem) {
  seen_.err.growth = {12, "fatal error:"};
  EXPECT_EQ(check("stderr"), "missing: /var/log/a.log got 12 bytes, without Go's error");
  seen_.err.growth = {-5, ""};
  EXPECT_EQ(check("stderr"), "differs: /var/log/a.log is 5 bytes shorter than at the crash");
  seen_.err.growth.reset();
  seen_.err.unreadable = "on nfs4";
  EXPECT_EQ(check("stderr"), "unreadable: /var/log/a.log: not read, on nfs4");
}

TEST_F(WitnessTest, WhatIsNoFile) {
  seen_.err = {witness::StderrKind::kPipe, "pipe:[40\x1b]", "", {}};
  EXPECT_EQ(check("stderr"), "unreadable: a pipe (pipe:[40\\x1b]): what came of it is not known here");
  seen_.err.kind = witness::StderrKind::kClosed;
  EXPECT_EQ(check("stderr"), "missing: descriptor 2 was closed: nobody has Go's words");
  seen_.err.kind = witness::StderrKind::kNull;
  EXPECT_EQ(check("stderr"), "missing: it was /dev/null: nobody has Go's words");
}

TEST_F(WitnessTest, TheJournalHadThemAfterTheyWereWritten) {
  seen_.journal.found.lines = {{kCrash - kMs, "fatal error: concurrent map writes"},  // an older process of that number
                               {kCrash + 5 * kMs - 900, "fatal error: concurrent map writes"},
                               {kCrash + 6 * kMs, "goroutine 7 [running]:"}};
  EXPECT_EQ(check("journal"), "agrees: 3 lines of this process since the crash, with Go's error");
  EXPECT_EQ(words(), (Words{"attached", "fatal", "let_go", "journal", "go_says", "exit", "gone"}))
      << "its times are cut to the us";
  seen_.journal.found.lines[1].received_ns = kCrash + 4 * kMs + 1;
  EXPECT_EQ(check("journal"), "differs: it had Go's error before that was written: one of the times is wrong");
}

TEST_F(WitnessTest, TheJournalWithoutThem) {
  EXPECT_EQ(check("journal"), "silent: nothing of this process since the crash; its stderr goes elsewhere");
  seen_.err.kind = witness::StderrKind::kSocket;
  EXPECT_EQ(check("journal"), "missing: 0 lines of this process since the crash, Go's error not among them");
  seen_.journal.found = {{{kCrash + kMs, "bye"}}, true};
  EXPECT_EQ(check("journal"), "missing: more than 1 lines of this process since the crash, Go's error not among them");
  seen_.journal.error = "cannot run /usr/bin/journalctl";
  EXPECT_EQ(check("journal"), "unreadable: cannot run /usr/bin/journalctl");
  seen_.journal = {};
  EXPECT_EQ(check("journal"), "unreadable: no journald here");
}

TEST_F(WitnessTest, NothingIsCompleteBeforeTheJournalWasAsked) {
  EXPECT_TRUE(build().complete);
  seen_.journal.asked = false;
  EXPECT_EQ(check("journal"), "unreadable: not asked yet");
  EXPECT_FALSE(build().complete);
  seen_.journal.there = false;
  EXPECT_TRUE(build().complete);
}

TEST_F(WitnessTest, TheKernelsLogHasNothingOfAnErrorOfGos) {
  EXPECT_EQ(check("kernel_log"), "silent: nothing of this process since the crash, as it should be");
  seen_.kernel_log.found.lines = {{kCrash - 5, "Killed process 4211 (race) \x1b"}};
  EXPECT_EQ(check("kernel_log"), "differs: 1 lines name this process: Go's error alone leaves none there");
  const Timeline timeline = build();
  EXPECT_EQ(timeline.events[2].moment, Moment::kKernelLog) << "its clock is another: it was read after the crash";
  EXPECT_EQ(timeline.events[2].at_ns, kCrash);
  EXPECT_EQ(timeline.events[2].text, "Killed process 4211 (race) \\x1b");
  seen_.kernel_log = {"", {{}, true}};
  EXPECT_EQ(check("kernel_log"), "unreadable: more was logged since the crash than could be read");
  seen_.kernel_log.error = "cannot read /dev/kmsg: Permission denied";
  EXPECT_EQ(check("kernel_log"), "unreadable: cannot read /dev/kmsg: Permission denied");
}

TEST_F(WitnessTest, AllFormsHaveTheVerdicts) {
  EXPECT_NE(timeline_text(build()).find("Stderr:   agrees: /var/log/a.log got"), std::string::npos);
  EXPECT_NE(timeline_html(build()).find("<dt>Kernel</dt><dd>silent: "), std::string::npos);
  const json checks = json::parse(timeline_json(build()))["checks"];
  ASSERT_EQ(checks.size(), 3u);
  EXPECT_EQ(checks[1]["witness"], "journal");
  EXPECT_EQ(checks[1]["verdict"], "silent");
  EXPECT_EQ(json::parse(timeline_json(build()))["stderr"],
            (json{{"writes", 90}, {"bytes", 767}, {"kind", "file"}, {"name", "/var/log/a.log"}}));
}

}  // namespace
}  // namespace mapwatch::dossier
