#include "attach/site_plan.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "elf/go_program.h"
#include "elf/mapped_file.h"

namespace mapwatch::attach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const std::string kInit = "internal/runtime/maps.(*Iter).Init";
const std::string kNext = "internal/runtime/maps.(*Iter).Next";
const std::string kDelete = "internal/runtime/maps.(*Map).Delete";
const std::string kUser = "main.work";

/// A program by its calls and other references; functions are numbered as they are first named.
class Program {
 public:
  /// `probed`: it has a probe in the function plan.
  Program& function(const std::string& name, bool probed = true) {
    functions_.push_back(
        {0x1000 * (functions_.size() + 1), 0x1000 * (functions_.size() + 2), *names_.insert(name).first});
    if (const auto candidate = arch::find_candidate(name)) {
      maps_.push_back({*candidate, functions_.back().entry, static_cast<std::uint32_t>(functions_.size() - 1)});
      probed_.push_back(probed);
    }
    return *this;
  }
  Program& call(const std::string& caller, const std::string& callee) {
    found_.calls.push_back({0x1000 + found_.calls.size(), target(callee), index(caller)});
    return *this;
  }
  Program& other(arch::ReferenceKind kind, const std::string& callee, const std::string& caller = "") {
    found_.others.push_back(
        {kind, 0x5000, target(callee), caller.empty() ? std::nullopt : std::optional(index(caller))});
    return *this;
  }

  SiteChoice choose() const { return choose_sites(maps_, found_, probed_, functions_); }
  /// "caller -> callee" of the armed calls, and the names of the functions that keep their probe.
  std::vector<std::string> probes() const {
    const SiteChoice choice = choose();
    std::vector<std::string> out;
    for (std::size_t i = 0; i < found_.calls.size(); ++i) {
      if (choice.armed[i]) {
        out.push_back(std::string(functions_[found_.calls[i].caller].name) + " -> " + name_of(found_.calls[i].target));
      }
    }
    for (std::size_t i = 0; i < maps_.size(); ++i) {
      if (choice.keeps_probe[i]) {
        out.push_back(name_of(i));
      }
    }
    return out;
  }
  std::string reason(const std::string& name) const { return choose().omissions[target(name)].reason; }

 private:
  std::string name_of(std::size_t map) const { return std::string(maps_[map].candidate.name); }
  std::uint32_t index(const std::string& name) const {
    for (std::size_t i = functions_.size(); i-- > 0;) {
      if (functions_[i].name == name) {
        return static_cast<std::uint32_t>(i);
      }
    }
    throw std::invalid_argument(name);
  }
  std::uint32_t target(const std::string& name) const {
    for (std::size_t i = maps_.size(); i-- > 0;) {
      if (functions_[maps_[i].index].name == name) {
        return static_cast<std::uint32_t>(i);
      }
    }
    throw std::invalid_argument(name);
  }

  std::set<std::string> names_;
  std::vector<elf::Function> functions_;
  std::vector<MapFunction> maps_;
  std::vector<bool> probed_;
  arch::CallSites found_;
};

TEST(SitePlan, TheProgramsCallsAreProbedInPlaceOfTheFunction) {
  Program program;
  program.function("runtime.mapassign").function(kUser).call(kUser, "runtime.mapassign");
  program.call(kUser, "runtime.mapassign");
  EXPECT_THAT(program.probes(), ElementsAre("main.work -> runtime.mapassign", "main.work -> runtime.mapassign"));
  EXPECT_EQ(program.reason("runtime.mapassign"), "is counted where it is called (calls: 2)");
}

// Go 1.24 and newer: every delete ends in the Map's method, which nobody else calls.
TEST(SitePlan, AWrappersOwnCallsCountAndNotWhatItCalls) {
  Program program;
  program.function(kDelete).function("runtime.mapdelete_fast64", false).function("reflect.mapdelete", false);
  program.function(kUser).function("reflect.Value.SetMapIndex");
  program.call("runtime.mapdelete_fast64", kDelete).call("reflect.mapdelete", kDelete);
  program.call(kUser, "runtime.mapdelete_fast64").call("reflect.Value.SetMapIndex", "reflect.mapdelete");
  EXPECT_THAT(program.probes(), UnorderedElementsAre("main.work -> runtime.mapdelete_fast64",
                                                     "reflect.Value.SetMapIndex -> reflect.mapdelete"));
  EXPECT_EQ(program.reason(kDelete),
            "is counted where it is called (calls: 2, of them in map functions whose own calls are counted: 2)");
}

TEST(SitePlan, AFunctionThatIsReachedOtherwiseKeepsItsProbe) {
  for (const auto kind : {arch::ReferenceKind::kPointer, arch::ReferenceKind::kAddress, arch::ReferenceKind::kUndecoded,
                          arch::ReferenceKind::kMisaligned, arch::ReferenceKind::kOutside}) {
    Program program;
    program.function("runtime.mapassign").function("runtime.mapclear").function(kUser);
    program.call(kUser, "runtime.mapassign").call(kUser, "runtime.mapclear").other(kind, "runtime.mapassign");
    EXPECT_THAT(program.probes(), UnorderedElementsAre("runtime.mapassign", "main.work -> runtime.mapclear"));
    EXPECT_THAT(program.reason("runtime.mapassign"), HasSubstr("keeps its own probe: "));
  }
}

// Whoever calls a function with a probe of its own is counted there: a wrapper's callers must not count again.
TEST(SitePlan, AProbeFurtherInCountsForAllThatCallIt) {
  Program program;
  program.function(kDelete).function("runtime.mapdelete_fast64", false).function("reflect.mapdelete", false);
  program.function(kUser).call("runtime.mapdelete_fast64", kDelete).call(kUser, "runtime.mapdelete_fast64");
  program.call("reflect.mapdelete", kDelete).call(kUser, "reflect.mapdelete");
  program.other(arch::ReferenceKind::kPointer, kDelete);
  EXPECT_THAT(program.probes(), ElementsAre(kDelete));
  EXPECT_EQ(program.reason("reflect.mapdelete"),
            "is counted at what it calls: it calls " + kDelete + ", whose callers are not known");
}

// Where only the wrapper is reached otherwise, its own call is the place that all its operations pass.
TEST(SitePlan, AWrapperThatIsReachedOtherwiseIsCountedAtItsCall) {
  Program program;
  program.function(kDelete).function("runtime.mapdelete_fast64", false).function("reflect.mapdelete", false);
  program.function(kUser).call("runtime.mapdelete_fast64", kDelete).call(kUser, "runtime.mapdelete_fast64");
  program.call("reflect.mapdelete", kDelete).call(kUser, "reflect.mapdelete");
  program.other(arch::ReferenceKind::kPointer, "reflect.mapdelete");
  EXPECT_THAT(program.probes(),
              UnorderedElementsAre("main.work -> runtime.mapdelete_fast64", "reflect.mapdelete -> " + kDelete));
  EXPECT_THAT(program.reason("reflect.mapdelete"), HasSubstr("is counted at what it calls: the program's data hold"));
}

TEST(SitePlan, AJumpIsAReferenceAndAWayToWhatItLeadsTo) {
  Program program;
  program.function("runtime.mapaccess2").function("runtime.mapaccess1", false).function(kUser);
  program.other(arch::ReferenceKind::kJump, "runtime.mapaccess2", "runtime.mapaccess1");
  program.call(kUser, "runtime.mapaccess1").call(kUser, "runtime.mapaccess2");
  EXPECT_THAT(program.probes(), ElementsAre("runtime.mapaccess2"));
}

TEST(SitePlan, WrappersOfWrappers) {
  Program program;
  program.function("runtime.mapassign").function("reflect.mapassign0", false).function("reflect.mapassign", false);
  program.function(kUser).call("reflect.mapassign0", "runtime.mapassign");
  program.call("reflect.mapassign", "reflect.mapassign0").call(kUser, "reflect.mapassign");
  program.call(kUser, "runtime.mapassign");
  EXPECT_THAT(program.probes(),
              UnorderedElementsAre("main.work -> reflect.mapassign", "main.work -> runtime.mapassign"));
  program.other(arch::ReferenceKind::kAddress, "reflect.mapassign0");
  EXPECT_THAT(program.probes(),
              UnorderedElementsAre("reflect.mapassign0 -> runtime.mapassign", "main.work -> runtime.mapassign"));
}

TEST(SitePlan, AnIterationIsCountedByItsStartAndItsSteps) {
  Program program;
  program.function(kInit, false).function(kNext).function("runtime.mapIterStart", false);
  program.function("runtime.mapIterNext", false).function(kUser);
  program.call("runtime.mapIterStart", kInit).call("runtime.mapIterStart", kNext).call("runtime.mapIterNext", kNext);
  program.call(kUser, "runtime.mapIterStart").call(kUser, "runtime.mapIterNext");
  EXPECT_THAT(program.probes(),
              UnorderedElementsAre("main.work -> runtime.mapIterStart", "main.work -> runtime.mapIterNext"));
  EXPECT_THAT(program.reason(kInit), HasSubstr("is always followed by"));
}

// Go 1.24: a clone steps through its source by Init and Next themselves, inside of an operation of another kind.
TEST(SitePlan, AnotherKindOfOperationInsideCountsByItself) {
  Program program;
  program.function(kInit, false).function(kNext).function("runtime.mapclone2").function("maps.clone", false);
  program.function("runtime.mapassign").function(kUser);
  program.call("runtime.mapclone2", kInit).call("runtime.mapclone2", kNext).call("runtime.mapclone2", kNext);
  program.call("runtime.mapclone2", "runtime.mapassign").call("maps.clone", "runtime.mapclone2");
  program.call(kUser, "maps.clone");
  EXPECT_THAT(program.probes(),
              UnorderedElementsAre("main.work -> maps.clone", "runtime.mapclone2 -> " + kNext,
                                   "runtime.mapclone2 -> " + kNext, "runtime.mapclone2 -> runtime.mapassign"));
}

TEST(SitePlan, TheOtherAbisWrapperTakesItsArgumentsOnTheStack) {
  Program program;
  program.function("runtime.mapassign", false).function("runtime.mapassign").function(kUser);  // of one name: the body
  program.call("runtime.mapassign", "runtime.mapassign").call(kUser, "runtime.mapassign");
  EXPECT_THAT(program.probes(), ElementsAre("main.work -> runtime.mapassign")) << "a call of itself is inside";

  const std::string name = "runtime.mapassign";
  const std::vector<elf::Function> functions = {
      {0x1000, 0x2000, name}, {0x2000, 0x3000, name}, {0x3000, 0x4000, "asm"}};
  const std::vector<MapFunction> maps = {{*arch::find_candidate(name), 0x1000, 0},
                                         {*arch::find_candidate(name), 0x2000, 1}};
  arch::CallSites found;
  found.calls = {{0x1010, 1, 0}, {0x3010, 0, 2}, {0x3020, 1, 2}};  // wrapper -> body, assembly -> wrapper and body
  EXPECT_THAT(choose_sites(maps, found, {false, true}, functions).armed, ElementsAre(true, false, true));
}

TEST(SitePlan, AFunctionThatNobodyIsSeenToCallKeepsItsProbe) {
  Program program;
  program.function("runtime.mapclear").function("runtime.mapassign").function("runtime.mapdelete", false);
  program.call("runtime.mapclear", "runtime.mapassign");
  EXPECT_THAT(program.probes(), UnorderedElementsAre("runtime.mapclear", "runtime.mapclear -> runtime.mapassign"));
  EXPECT_EQ(program.reason("runtime.mapclear"), "keeps its own probe: no call of it is seen");
}

// No probe can sit in it: what is seen at its calls is better than nothing, and is said to be less than all.
TEST(SitePlan, AFunctionThatCannotBeProbedIsSeenAtItsCalls) {
  Program program;
  program.function("runtime.mapassign", false).function(kUser).call(kUser, "runtime.mapassign");
  program.other(arch::ReferenceKind::kPointer, "runtime.mapassign");
  program.other(arch::ReferenceKind::kPointer, "runtime.mapassign");
  EXPECT_THAT(program.probes(), ElementsAre("main.work -> runtime.mapassign"));
  EXPECT_EQ(program.reason("runtime.mapassign"),
            "is seen only where it is called, and not all of that is known: the program's data hold its address at "
            "0x5000 (and 1 more)");
}

TEST(SitePlan, FunctionsThatCallEachOtherAreCountedOnce) {
  Program program;  // no Go does this; the function plan has a probe on one of them
  program.function("runtime.mapaccess1", false).function("runtime.mapaccess2").function(kUser);
  program.call("runtime.mapaccess1", "runtime.mapaccess2").call("runtime.mapaccess2", "runtime.mapaccess1");
  program.call(kUser, "runtime.mapaccess1").call(kUser, "runtime.mapaccess2");
  EXPECT_THAT(program.probes(),
              UnorderedElementsAre("main.work -> runtime.mapaccess1", "main.work -> runtime.mapaccess2"));
  program.other(arch::ReferenceKind::kPointer, "runtime.mapaccess1");
  EXPECT_THAT(program.probes(), ElementsAre("runtime.mapaccess2"));
}

TEST(SitePlan, PackageInitialisersByName) {
  for (const char* name : {"main.init", "main.init.0", "net/http.init.12", "unicode.map.init.0",
                           "gopkg.in/yaml%2ev2.init", "a.b/c.map.init.3"}) {
    EXPECT_TRUE(is_package_initialiser(name)) << name;
  }
  for (const char* name : {"main.main", "main.init.0.func1", "main.(*T).init", "main.T.init", "main.initialise",
                           "main.init.", "main.init.x", "main.map.init", "init", "", "a/init"}) {
    EXPECT_FALSE(is_package_initialiser(name)) << name;
  }
}

// On a real program each operation's functions are covered, and each spec says what attaching needs.
TEST(SitePlan, OfARealProgram) {
  const auto file = elf::MappedFile::open(test::built_program(test::build_mode("stripped_pie")));
  ASSERT_TRUE(file);
  const auto binary = elf::GoBinary::parse(file->bytes());
  ASSERT_TRUE(binary);
  const auto functions = plan_probes(*binary);
  ASSERT_TRUE(functions);
  const auto plan = plan_call_sites(*binary, *functions);
  ASSERT_TRUE(plan) << plan.error().message;
  std::size_t calls = 0;
  std::size_t initialisers = 0;
  for (const ProbeSpec& probe : plan->probes) {
    const auto code = binary->code(probe.address, probe.address + probe.bytes.size());
    ASSERT_TRUE(code);
    EXPECT_EQ(arch::InstructionBytes(*code), probe.bytes);
    EXPECT_EQ(binary->file_offset(probe.address), probe.file_offset);
    EXPECT_TRUE(probe.emulated || probe.op == MW_OP_FATAL || probe.op == MW_OP_THROW);
    if (probe.site_class != MW_SITE_CALL) {
      EXPECT_TRUE(probe.op == MW_OP_FATAL || probe.op == MW_OP_THROW) << probe.function;
      continue;
    }
    ++calls;
    initialisers += probe.initialiser ? 1 : 0;
    EXPECT_EQ(binary->at(probe.address)->name, probe.caller);
    EXPECT_EQ(binary->at(probe.address)->entry, probe.entry);
  }
  EXPECT_GT(calls, 20U);
  EXPECT_GT(initialisers, 0U);
  EXPECT_LT(initialisers, calls);
}

}  // namespace
}  // namespace mapwatch::attach
