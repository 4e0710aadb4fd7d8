#include "dossier/map_company.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "dossier/map_company_view.h"
#include "dossier/other_side.h"
#include "forensics/fake_process.h"

namespace mapwatch::dossier {
namespace {

using forensics::MapOperation;
using forensics::OperationEvidence;
using nlohmann::json;

constexpr std::uint64_t kCrash = 1'000'000'000;

/// Goroutines 6 (which crashes), 7 and 8 in a map function called by main.main; 9 waits in main.main.
class Company : public testing::Test, public test::FakeProcess {
 protected:
  Company() : names_(binary(), 0) {
    report_.time_ns = kCrash;
    report_.goid = 6;
    report_.op = MW_OP_WRITE;
    report_.map.addr = 0xc000111110;
    for (const std::uint64_t id : {6, 7, 8, 9}) {
      forensics::Goroutine one;
      one.id = id;
      one.address = kGs + id * 0x1000;
      one.status = forensics::GStatus::kWaiting;
      one.thread = 100 + id;
      one.go_pc = inside("main.main");
      if (id != 9) {
        one.frames.push_back(frame("runtime.mapassign_faststr"));
      }
      one.frames.push_back(frame("main.main"));
      all_.list.push_back(one);
    }
  }
  forensics::Frame frame(const char* function) const {
    return {inside(function), kStacks, binary().find(function)->entry, false, false};
  }
  static MapOperation inside_of(std::size_t goroutine, mw_op op = MW_OP_WRITE,
                                OperationEvidence evidence = OperationEvidence::kArguments, std::uint64_t began = 0) {
    return {goroutine, 0, op, evidence, began};
  }
  std::uint64_t other_goid() const {
    const MapOperation* found = other_inside(use_, all_, report_);
    return found == nullptr ? 0 : all_.list[found->goroutine].id;
  }
  MapCompany company() { return {report_, all_, use_, holders_, names_, 0}; }

  report::CrashReport report_;
  forensics::Goroutines all_;
  forensics::MapUse use_;
  forensics::MapHolders holders_;
  FrameNames names_;
};

TEST_F(Company, TheOtherSideIsInsideForCertainAndChangesTheMap) {
  use_.inside = {inside_of(0)};
  EXPECT_EQ(other_goid(), 0U) << "the crashing goroutine is not its own other side";
  use_.inside = {inside_of(1, MW_OP_READ), inside_of(2, MW_OP_ITERATE)};
  EXPECT_EQ(other_goid(), 0U) << "who only reads sets no mark";
  use_.inside = {inside_of(1, MW_OP_WRITE, OperationEvidence::kSlot)};
  EXPECT_EQ(other_goid(), 0U);
  use_.inside = {inside_of(1, MW_OP_DELETE, OperationEvidence::kProbe)};
  EXPECT_EQ(other_goid(), 7U);
}

TEST_F(Company, OfSeveralTheOneThatWasNamedBeforeElseTheLastBeforeTheCrash) {
  use_.inside = {inside_of(1, MW_OP_WRITE, OperationEvidence::kArguments, kCrash - 500),
                 inside_of(2, MW_OP_WRITE, OperationEvidence::kArguments, kCrash - 400)};
  EXPECT_EQ(other_goid(), 8U);
  use_.inside[1].began_ns = kCrash + 10;
  EXPECT_EQ(other_goid(), 7U) << "what began after the crash is not what it died of";
  report_.other.emplace();
  report_.other->goid = 8;
  EXPECT_EQ(other_goid(), 8U);
}

TEST_F(Company, ItsStackBeginsAtTheMapFunction) {
  CrashPicture picture;
  picture.goroutines = all_;
  picture.goroutines->list[1].frames.insert(picture.goroutines->list[1].frames.begin(), frame("runtime.gopark"));
  picture.use.emplace();
  picture.use->inside = {MapOperation{1, 1, MW_OP_WRITE, OperationEvidence::kArguments, kCrash - 500}};
  CrashFacts facts;
  facts.threads = {{4219, {}, 107}};
  tell_other_side(facts, picture, process(), report_);
  ASSERT_TRUE(report_.other);
  const report::AccessReport& other = *report_.other;
  EXPECT_EQ(other.attribution, correlate::Attribution::kInside);
  EXPECT_EQ(other.goid, 7U);
  EXPECT_EQ(other.tid, 4219U) << "as mapwatch numbers threads";
  EXPECT_EQ(other.time_ns, kCrash - 500);
  ASSERT_EQ(other.stack.size(), 2U);
  EXPECT_EQ(other.stack[0].func, "runtime.mapassign_faststr");
  EXPECT_FALSE(other.stack[0].user);
  EXPECT_EQ(other.stack[1].func, "main.main");
  EXPECT_TRUE(other.stack[1].user);
  ASSERT_TRUE(other.created_by);
  EXPECT_EQ(other.created_by->func, "main.main");
}

TEST_F(Company, WithoutOneInsideTheReportKeepsItsOtherSideAndGetsATime) {
  CrashPicture picture;
  picture.goroutines = all_;
  picture.use.emplace();
  picture.use->accesses = {{kGs, 9, MW_OP_WRITE, kCrash - 77, true, true, false}};
  report_.other.emplace();
  report_.other->goid = 9;
  report_.other->attribution = correlate::Attribution::kLastWriter;
  tell_other_side({}, picture, process(), report_);
  EXPECT_EQ(report_.other->attribution, correlate::Attribution::kLastWriter);
  EXPECT_EQ(report_.other->time_ns, kCrash - 77);
  report_.other->time_ns = 0;
  report_.other->goid = 8;
  tell_other_side({}, picture, process(), report_);
  EXPECT_EQ(report_.other->time_ns, 0U) << "another goroutine's";
}

TEST_F(Company, TextSaysWhatIsCertainAndWhatIsNot) {
  use_.inside = {inside_of(0), inside_of(1, MW_OP_ITERATE, OperationEvidence::kProbe, kCrash - 3'100),
                 inside_of(2, MW_OP_WRITE, OperationEvidence::kSlot)};
  use_.accesses = {{kGs, 9, MW_OP_DELETE, kCrash - 12'000, true, true, false},
                   {0xdead0, 0, MW_OP_NONE, 0, false, false, true}};
  holders_.stacks = {{3, 0, kStacks, 0x48, std::nullopt}, {1, 1, kStacks, 8, 1}};
  holders_.stacks_total = 5;
  holders_.goroutines_total = 2;
  holders_.registers = {{107, 1, 2}};
  holders_.variables = {{0x5a3c20, 0x5a3c20, {".bss", "main.cache", 8}, {}},
                        {0x5a3c28, 0x5a3c28, {"", "", 0}, {"main.put"}}};
  holders_.variables_total = 2;
  holders_.partial = {"something \x1b[31m"};
  const std::string text = company_text(company_view(company()));
  for (const char* line :
       {"Who else was on map 0x00c000111110 when the process stood still:\n",
        "  goroutine 7 [waiting], thread 107: inside its iteration, begun 3.1us before the crash; a probe saw the call "
        "begin\n",
        "  goroutine 8 [waiting], thread 108: inside its write; NOT CERTAIN: an argument slot says so",
        "  goroutine 9 [waiting], thread 109: delete, begun 12us before the crash; nobody came after it; the last "
        "writer\n",
        "  a goroutine that has ended (its g is 0xdead0): went on to another map since; the writer before the last\n",
        "  stacks: 5 words of 2 goroutines\n", "    goroutine 9: sp+0x48 of main.main()\n          /",
        ", word 1 of the arguments of runtime.mapassign_faststr()\n", "  register rdx of thread 107, goroutine 7\n",
        "  variable main.cache+0x8, in .bss 0x5a3c20\n",
        "  variable in the program's data at 0x5a3c28, used by main.put\n", "  not searched: something \\x1b[31m\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
  }
  EXPECT_EQ(text.find("goroutine 6"), std::string::npos) << "the crashing one is no company";
}

TEST_F(Company, WhatWasNotSearchedIsNotSaidToHoldNothing) {
  EXPECT_NE(company_text(company_view(company())).find("no variable of the program\n"), std::string::npos);
  holders_.partial = {"the program's variables"};
  const std::string text = company_text(company_view(company()));
  EXPECT_NE(text.find("no variable of the program, as far as was searched\n"), std::string::npos);
  EXPECT_NE(text.find("not searched: the program's variables\n"), std::string::npos);
}

TEST_F(Company, AsHtmlNothingOfTheTargetActs) {
  constexpr std::string_view kHostile = "</li><script>alert(1)</script><img src=x onerror='a(\"b\")'>\x1b[2J&";
  use_.inside = {inside_of(1), inside_of(2, MW_OP_WRITE, OperationEvidence::kSlot)};
  holders_.stacks = {{3, 0, kStacks, 0x48, std::nullopt}};
  holders_.variables = {
      {0x5a3c20, 0x5a3c20, {std::string(kHostile), std::string(kHostile), 8}, {std::string(kHostile)}}};
  holders_.variables_total = 3;
  holders_.partial = {std::string(kHostile)};
  CompanyView view = company_view(company());
  view.inside.items[0].place->func = view.inside.items[0].place->file = kHostile;
  view.inside.items[1].who = view.stacks.items[0].where = view.stacks.items[0].place->file = kHostile;
  view.accesses.items = view.registers = {std::string(kHostile)};
  const std::string text = company_html(view);
  for (const char* bad : {"<script>", "<img", "onerror='", "\x1b"}) {
    EXPECT_EQ(text.find(bad), std::string::npos) << bad;
  }
  std::size_t shown = 0;
  for (std::size_t at = text.find("&lt;script&gt;"); at != std::string::npos;
       at = text.find("&lt;script&gt;", at + 1)) {
    ++shown;
  }
  EXPECT_GE(shown, 11U) << "each is there, as text";
  EXPECT_NE(text.find("<span class=\"tag\">not certain</span>"), std::string::npos);
  EXPECT_NE(text.find("... and 2 more: holders.json"), std::string::npos);
}

TEST_F(Company, NobodyIsSaidToo) {
  use_.inside = {inside_of(0)};
  const std::string text = company_text(company_view(company()));
  EXPECT_NE(text.find("no other goroutine's stack is in an operation on it\n"), std::string::npos);
  EXPECT_NE(text.find("no variable of the program\n"), std::string::npos);
}

TEST_F(Company, ManyAreCutAndCounted) {
  for (int i = 0; i < 30; ++i) {
    use_.inside.push_back(inside_of(1));
  }
  EXPECT_NE(company_text(company_view(company())).find("  ... and 10 more\n"), std::string::npos);
}

TEST_F(Company, AsJson) {
  use_.inside = {inside_of(0), inside_of(1, MW_OP_WRITE, OperationEvidence::kSlot, kCrash + 19)};
  use_.accesses = {{0xc000007340, 9, MW_OP_WRITE, kCrash - 5, true, true, false}};
  holders_.stacks = {{1, 1, 0xc000044700, 8, 1}};
  holders_.variables = {{0x55005a3c20, 0x5a3c20, {".bss", "", 0}, {"main.put"}}};
  const json object = json::parse(company_json(company()));
  EXPECT_EQ(object["schema_version"], 1);
  EXPECT_EQ(object["map"], "0xc000111110");
  EXPECT_EQ(object["map_source"], "probe");
  EXPECT_EQ(object["argument_map"], nullptr);
  EXPECT_EQ(object["inside"][0]["crashing"], true);
  EXPECT_EQ(object["inside"][0]["before_crash_ns"], nullptr);
  EXPECT_EQ(object["inside"][1]["certain"], false);
  EXPECT_EQ(object["inside"][1]["before_crash_ns"], -19);
  EXPECT_EQ(object["inside"][1]["function"], "runtime.mapassign_faststr");
  EXPECT_EQ(object["inside"][1]["func"], "main.main");
  EXPECT_EQ(object["accesses"][0]["goid"], 9);
  EXPECT_EQ(object["accesses"][0]["last_writer"], true);
  EXPECT_EQ(object["stacks"][0]["func"], "main.main");
  EXPECT_EQ(object["stacks"][0]["argument"], json({{"word", 1}, {"of", "runtime.mapassign_faststr"}}));
  EXPECT_EQ(object["variables"][0]["name"], nullptr);
  EXPECT_EQ(object["variables"][0]["used_by"], json({"main.put"}));
  EXPECT_EQ(object["not_searched"], json({"the heap"}));
}

}  // namespace
}  // namespace mapwatch::dossier
