// Goroutines as text. That it is Go's own format to the letter is shown by the e2e cases forensics/*; here is what a
// well-behaved process does not show.
#include <gtest/gtest.h>

#include <string>

#include "dossier/goroutine_groups.h"
#include "dossier/traceback.h"
#include "forensics/fake_process.h"

namespace mapwatch::dossier {
namespace {

using forensics::Goroutine;
using forensics::Goroutines;
using forensics::GStatus;
using forensics::StackDoubt;

class GoroutineText : public testing::Test, public test::FakeProcess {
 protected:
  GoroutineText() : names_(binary(), 0) {}

  Goroutine parked(std::uint64_t id) {
    Goroutine goroutine;
    goroutine.id = id;
    goroutine.parent_id = 1;
    goroutine.status = GStatus::kWaiting;
    goroutine.wait_reason = reason("chan receive");
    goroutine.go_pc = inside("main.main");
    for (const char* name : {"runtime.gopark", "main.main"}) {
      goroutine.frames.push_back({inside(name), 0, binary().find(name)->entry, false, false});
    }
    return goroutine;
  }
  std::uint8_t reason(std::string_view wanted) const {
    for (int i = 0; i < 100; ++i) {
      if (elf::wait_reason(names_minor(), static_cast<std::uint8_t>(i)) == wanted) {
        return static_cast<std::uint8_t>(i);
      }
    }
    ADD_FAILURE() << wanted;
    return 0;
  }
  int names_minor() const { return binary().version().minor; }
  std::string traceback(const Goroutines& all, const TracebackStyle& style = {}) {
    std::string text;
    write_traceback(all, names_, style, [&](std::string_view piece) { text += piece; });
    return text;
  }
  std::string groups(const Goroutines& all, std::size_t limit = 0, const TracebackStyle& style = {}) {
    std::string text;
    write_groups(group_goroutines(all, names_, style), names_, style, limit,
                 [&](std::string_view piece) { text += piece; });
    return text;
  }

  FrameNames names_;
};

TEST_F(GoroutineText, AGoroutineAsGoWritesIt) {
  Goroutines all;
  all.list.push_back(parked(7));
  all.list[0].waiting_ns = 200'000'000'000;
  all.list[0].locked_to_thread = true;
  const std::string text = traceback(all);
  EXPECT_TRUE(text.starts_with("goroutine 7 [chan receive, 3 minutes, locked to thread]:\nmain.main(...)\n\t/"))
      << text;
  EXPECT_EQ(text.find("gopark"), std::string::npos);
  EXPECT_NE(text.find("\ncreated by main.main in goroutine 1\n\t/"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\n\n"));
  EXPECT_NE(traceback(all, {true, 0}).find("runtime.gopark(...)\n"), std::string::npos);
}

TEST_F(GoroutineText, TheMainGoroutineAndRuntimesOwn) {
  Goroutines all;
  all.list = {parked(1), parked(2), parked(3)};
  all.list[1].start_pc = binary().find("runtime.bgsweep")->entry;
  all.list[2].start_pc = binary().find("main.main")->entry;
  const std::string text = traceback(all, {false, 3});
  EXPECT_TRUE(text.starts_with("goroutine 3 ")) << text;
  EXPECT_EQ(text.find("goroutine 2 "), std::string::npos);
  EXPECT_EQ(text.find("created by", text.find("goroutine 1 [")), std::string::npos) << "nobody created goroutine 1";
  EXPECT_NE(traceback(all, {true, 0}).find("goroutine 2 "), std::string::npos);
}

TEST_F(GoroutineText, OnlyRuntimeFramesAreBetterThanNone) {
  Goroutines all;
  all.list.push_back(parked(7));
  all.list[0].frames.resize(1);
  EXPECT_NE(traceback(all).find("runtime.gopark(...)\n"), std::string::npos);
}

TEST_F(GoroutineText, DoubtIsSaid) {
  for (const StackDoubt doubt :
       {StackDoubt::kNoRegisters, StackDoubt::kCopying, StackDoubt::kTorn, StackDoubt::kOdd, StackDoubt::kCut}) {
    Goroutines all;
    all.list.push_back(parked(7));
    all.list[0].doubt = doubt;
    const std::string text = traceback(all);
    const std::size_t line = text.find("\n(");
    ASSERT_NE(line, std::string::npos) << text;
    EXPECT_LT(line, text.find("created by"));
  }
}

TEST_F(GoroutineText, LongStacksLoseTheirMiddle) {
  Goroutines all;
  all.list.push_back(parked(7));
  const forensics::Frame frame = all.list[0].frames[1];
  all.list[0].frames.assign(140, frame);
  const std::string text = traceback(all);
  std::size_t lines = 0;
  for (std::size_t at = text.find("main.main(...)"); at != std::string::npos;
       at = text.find("main.main(...)", at + 1)) {
    ++lines;
  }
  EXPECT_EQ(lines, 100U);
  EXPECT_NE(text.find(names_minor() >= 21 ? "...40 frames elided...\n" : "...additional frames elided...\n"),
            std::string::npos);
}

TEST_F(GoroutineText, EqualStacksAreOneGroup) {
  Goroutines all;
  for (std::uint64_t id = 10; id < 24; ++id) {
    all.list.push_back(parked(id));
    all.list.back().waiting_ns = (id - 10) * 60'000'000'000;
  }
  all.list[3].parent_id = 5;
  Goroutine other = parked(3);
  other.frames.resize(1);
  all.list.push_back(other);
  const std::string text = groups(all);
  EXPECT_TRUE(
      text.starts_with("14 goroutines in chan receive, 0 to 13 minutes: 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, "
                       "...\nmain.main(...)\n"))
      << text;
  EXPECT_NE(text.find("created by main.main\n"), std::string::npos) << "they have different parents";
  EXPECT_NE(text.find("\n1 goroutine in chan receive: 3\n"), std::string::npos);
  EXPECT_NE(text.find("created by main.main in goroutine 1\n"), std::string::npos);
  EXPECT_TRUE(groups(all, 0, {false, 3}).starts_with("1 goroutine in chan receive: 3\n"));
  EXPECT_TRUE(groups(all, 1).ends_with("... and 1 more groups\n"));
}

TEST_F(GoroutineText, TheSchedulersTable) {
  Goroutines all;
  all.list.push_back(parked(7));
  all.list[0].status = GStatus::kRunning;
  forensics::Processor p;
  p.id = 3;
  p.status = forensics::PStatus::kRunning;
  p.m_id = 2;
  p.goroutine = 7;
  p.queue = {8, 0, 9};
  p.next = 11;
  all.processors.push_back(p);
  forensics::Machine m;
  m.id = 2;
  m.thread = 4711;
  m.p = 3;
  m.goroutine = 7;
  m.pc = inside("main.main");
  all.machines.push_back(m);
  m = {};
  m.id = 5;
  m.spinning = true;
  all.machines.push_back(m);
  all.scheduler.known = true;
  all.scheduler.global_queue = 17;
  all.scheduler.gc_phase = 1;
  all.notes.push_back("something is odd");
  std::string text;
  write_scheduler(all, names_, [&](std::string_view piece) { text += piece; });
  EXPECT_NE(text.find("garbage collector: mark\nglobal run queue 17,"), std::string::npos) << text;
  EXPECT_NE(text.find("   3  running     2         7           0  3 +11 next: 8, -, 9\n"), std::string::npos) << text;
  EXPECT_NE(text.find("   2      4711    3         7  running                   main.main\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("   5         -    -         -  looking for work          -\n"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("note: something is odd\n"));
}

}  // namespace
}  // namespace mapwatch::dossier
