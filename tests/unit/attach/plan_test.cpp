#include "attach/plan.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/hex.h"

namespace mapwatch::attach {
namespace {

using test::Code;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr char kPushPrologue[] = "493b6610 0f86e0000000 55 4889e5";  // Go 1.21+
constexpr char kJccPrologue[] = "493b6610 0f86e0000000 4883ec28";    // Go 1.17-1.20
constexpr char kNoCheckPush[] = "55 4889e5";                         // NOSPLIT, Go 1.21+
constexpr char kNoCheckSub[] = "4883ec28 48896c2420";                // NOSPLIT, before
constexpr std::size_t kSize = 0x100;
constexpr std::uint64_t kBase = 0x401000;
constexpr std::uint64_t kFileBase = 0x1000;

/// A program of functions that lie one after another, each with a prologue and calls of others.
class Program {
 public:
  Program& add(const std::string& name, const char* prologue, const std::vector<std::string>& calls = {}) {
    parts_.push_back({name, prologue, calls});
    return *this;
  }
  Plan plan() {
    std::map<std::string, std::uint64_t> entries;  // of two with one name the last
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      entries[parts_[i].name] = kBase + i * kSize;
    }
    std::vector<FunctionCode> functions;
    codes_.clear();
    codes_.reserve(parts_.size());
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const std::uint64_t entry = kBase + i * kSize;
      Code code(parts_[i].prologue);
      for (const std::string& callee : parts_[i].calls) {
        append_call(code, entry, entries.at(callee));
      }
      codes_.push_back(std::move(code.pad(kSize)));
      functions.push_back({parts_[i].name, entry, kFileBase + i * kSize, codes_.back().bytes()});
    }
    return plan_functions(functions);
  }

 private:
  struct Part {
    std::string name;
    const char* prologue;
    std::vector<std::string> calls;
  };
  static void append_call(Code& code, std::uint64_t entry, std::uint64_t target) {
    const auto distance = static_cast<std::uint32_t>(target - (entry + code.size() + 5));
    code.append("e8").append32(distance);
  }
  std::vector<Part> parts_;
  std::vector<Code> codes_;
};

std::vector<std::string> probed(const Plan& plan) {
  std::vector<std::string> names;
  for (const ProbeSpec& probe : plan.probes) {
    names.emplace_back(probe.function);
  }
  return names;
}

std::string reason(const Plan& plan, const std::string& function) {
  for (const Omission& omission : plan.omissions) {
    if (omission.function == function) {
      return omission.reason;
    }
  }
  return "not omitted";
}

const ProbeSpec& only(const Plan& plan) {
  EXPECT_EQ(plan.probes.size(), 1U);
  return plan.probes.at(0);
}

TEST(PlanTest, ASpecSaysAllThatAttachingNeeds) {
  const Plan plan = Program().add("main.main", kPushPrologue).add("runtime.mapassign_faststr", kPushPrologue).plan();
  const ProbeSpec& probe = only(plan);
  EXPECT_EQ(probe.op, MW_OP_WRITE);
  EXPECT_EQ(probe.site_class, MW_SITE_PUSH);
  EXPECT_EQ(probe.arg, MW_ARG_FUNC);
  EXPECT_EQ(probe.function, "runtime.mapassign_faststr");
  EXPECT_EQ(probe.entry, kBase + kSize);
  EXPECT_EQ(probe.address, kBase + kSize + 0xa);
  EXPECT_EQ(probe.file_offset, kFileBase + kSize + 0xa);
  EXPECT_EQ(probe.instruction, "push");
  EXPECT_EQ(probe.bytes, (arch::InstructionBytes{0x55}));
  EXPECT_TRUE(probe.emulated);
  EXPECT_THAT(plan.omissions, IsEmpty());
}

TEST(PlanTest, BeforeGo121TheSiteIsTheStackCheck) {
  const Plan plan = Program().add("runtime.mapassign", kJccPrologue).plan();
  const ProbeSpec& probe = only(plan);
  EXPECT_EQ(probe.site_class, MW_SITE_JCC);
  EXPECT_EQ(probe.address, kBase + 4);
  EXPECT_EQ(probe.instruction, "jbe");
  EXPECT_EQ(probe.bytes, (arch::InstructionBytes{0x0f, 0x86, 0xe0, 0, 0, 0}));
}

TEST(PlanTest, FatalAndThrow) {
  const Plan now = Program().add("runtime.fatal", kNoCheckPush).add("runtime.throw", kNoCheckPush).plan();
  ASSERT_EQ(now.probes.size(), 2U);
  EXPECT_EQ(now.probes[0].op, MW_OP_FATAL);
  EXPECT_EQ(now.probes[0].site_class, MW_SITE_PUSH);
  EXPECT_EQ(now.probes[0].address, kBase);
  EXPECT_EQ(now.probes[1].op, MW_OP_THROW);
  EXPECT_EQ(now.probes[1].arg, MW_ARG_NONE);

  const Plan before = Program().add("runtime.throw", kNoCheckSub).plan();
  EXPECT_EQ(only(before).site_class, MW_SITE_ENTRY);
  EXPECT_EQ(only(before).address, kBase);
  EXPECT_EQ(only(before).instruction, "sub");
  EXPECT_FALSE(only(before).emulated);
  EXPECT_EQ(only(before).bytes.size(), 4U);
}

TEST(PlanTest, AMapFunctionIsNeverSingleStepped) {
  const Plan plan = Program()
                        .add("runtime.mapassign", kNoCheckSub)
                        .add("runtime.mapdelete", "493b6610 2e0f86e0000000 4883ec28")  // prefixed: not emulated
                        .add("runtime.mapclear", "06")
                        .plan();
  EXPECT_THAT(plan.probes, IsEmpty());
  EXPECT_EQ(reason(plan, "runtime.mapassign"),
            "no prologue of a Go function: sub at +0x0 instead of the comparison with the stack guard");
  EXPECT_EQ(reason(plan, "runtime.mapdelete"), "instruction jbe at +0x4 is not emulated by the kernel");
  EXPECT_EQ(reason(plan, "runtime.mapclear"),
            "no prologue of a Go function: no instruction at +0x0 instead of the comparison with the stack guard");
}

TEST(PlanTest, AWrapperIsOmittedWhereWhatItCallsIsProbed) {
  const Plan plan = Program()
                        .add("runtime.mapdelete", kPushPrologue, {"internal/runtime/maps.(*Map).Delete"})
                        .add("internal/runtime/maps.(*Map).Delete", kPushPrologue)
                        .plan();
  EXPECT_EQ(only(plan).function, "internal/runtime/maps.(*Map).Delete");
  EXPECT_EQ(only(plan).arg, MW_ARG_METHOD);
  EXPECT_EQ(only(plan).op, MW_OP_DELETE);
  EXPECT_EQ(reason(plan, "runtime.mapdelete"), "calls internal/runtime/maps.(*Map).Delete, which is probed");
}

TEST(PlanTest, AWrapperKeepsItsProbeWhereItsCalleeHasNone) {
  EXPECT_EQ(only(Program().add("runtime.mapdelete", kPushPrologue).plan()).function, "runtime.mapdelete");
  const Plan plan = Program()
                        .add("reflect.mapdelete", kPushPrologue, {"runtime.mapdelete"})
                        .add("runtime.mapdelete", kNoCheckSub)
                        .plan();
  EXPECT_EQ(only(plan).function, "reflect.mapdelete");
}

TEST(PlanTest, WrappersAreFollowedThroughEachOther) {
  const Plan plan = Program()
                        .add("reflect.mapassign", kPushPrologue, {"reflect.mapassign0"})
                        .add("reflect.mapassign0", kPushPrologue, {"runtime.mapassign"})
                        .add("runtime.mapassign", kPushPrologue)
                        .plan();
  EXPECT_EQ(only(plan).function, "runtime.mapassign");
  EXPECT_EQ(reason(plan, "reflect.mapassign0"), "calls runtime.mapassign, which is probed");
  EXPECT_EQ(reason(plan, "reflect.mapassign"),
            "calls reflect.mapassign0, which calls runtime.mapassign, which is probed");
}

TEST(PlanTest, ACalleeThatCannotBeProbedItselfMayStillBeCovered) {
  const Plan plan = Program()
                        .add("reflect.mapassign", kPushPrologue, {"reflect.mapassign0"})
                        .add("reflect.mapassign0", kNoCheckSub, {"runtime.mapassign"})
                        .add("runtime.mapassign", kPushPrologue)
                        .plan();
  EXPECT_EQ(only(plan).function, "runtime.mapassign");
}

TEST(PlanTest, AnotherKindOfOperationInsideIsNoWrapping) {
  const Plan plan = Program()  // Go 1.21-1.24
                        .add("runtime.mapclone2", kPushPrologue, {"runtime.mapassign"})
                        .add("runtime.mapassign", kPushPrologue, {"runtime.fatal", "runtime.throw"})
                        .add("runtime.fatal", kNoCheckPush, {"runtime.throw"})
                        .add("runtime.throw", kNoCheckPush)
                        .plan();
  EXPECT_THAT(probed(plan),
              UnorderedElementsAre("runtime.mapclone2", "runtime.mapassign", "runtime.fatal", "runtime.throw"));
}

TEST(PlanTest, IterationOfBucketMaps) {
  const Plan plan = Program()
                        .add("runtime.mapiterinit", kPushPrologue, {"runtime.mapiternext"})
                        .add("runtime.mapiternext", kPushPrologue, {"runtime.mapaccessK"})
                        .add("runtime.mapaccessK", kPushPrologue)
                        .add("reflect.mapiterinit", kPushPrologue, {"runtime.mapiterinit"})
                        .add("reflect.mapiternext", kPushPrologue, {"runtime.mapiternext"})
                        .plan();
  EXPECT_EQ(only(plan).function, "runtime.mapiternext");
  EXPECT_EQ(only(plan).arg, MW_ARG_ITER);
  EXPECT_EQ(only(plan).op, MW_OP_ITERATE);
  EXPECT_EQ(reason(plan, "runtime.mapaccessK"), "only the steps of an iteration call it, and they are probed");
  EXPECT_EQ(reason(plan, "reflect.mapiterinit"),
            "calls runtime.mapiterinit, which calls runtime.mapiternext, which is probed");
}

TEST(PlanTest, IterationOfSwissMaps) {
  const std::string init = "internal/runtime/maps.(*Iter).Init";
  const std::string next = "internal/runtime/maps.(*Iter).Next";
  const Plan plan = Program()
                        .add("runtime.mapIterStart", kPushPrologue, {init, next})
                        .add("runtime.mapIterNext", kPushPrologue, {next})
                        .add(init, kPushPrologue)
                        .add(next, kPushPrologue)
                        .plan();
  EXPECT_EQ(only(plan).function, next);
  EXPECT_EQ(reason(plan, init), "is always followed by " + next + ", which is probed");
  EXPECT_EQ(reason(plan, "runtime.mapIterStart"), "calls " + next + ", which is probed");

  const Plan alone = Program().add(init, kPushPrologue).plan();
  EXPECT_EQ(only(alone).arg, MW_ARG_ITER_INIT);
}

TEST(PlanTest, OfTwoAbisTheBodyIsProbed) {
  const Plan plan = Program()
                        .add("runtime.mapassign", kNoCheckPush, {"runtime.mapassign"})  // the wrapper calls the other
                        .add("runtime.mapassign", kPushPrologue)
                        .plan();
  EXPECT_EQ(only(plan).entry, kBase + kSize);
  EXPECT_EQ(reason(plan, "runtime.mapassign"), "calls runtime.mapassign, which is probed");
}

TEST(PlanTest, FunctionsThatCallEachOtherAreCountedOnce) {
  const Plan plan = Program()  // no Go does this; a hostile file may
                        .add("runtime.mapaccess1", kPushPrologue, {"runtime.mapaccess2"})
                        .add("runtime.mapaccess2", kPushPrologue, {"runtime.mapaccess1"})
                        .plan();
  EXPECT_EQ(only(plan).function, "runtime.mapaccess2");
}

TEST(PlanTest, ProbesComeByAddress) {
  const Plan plan = Program()
                        .add("runtime.mapassign", kPushPrologue)
                        .add("runtime.throw", kNoCheckPush)
                        .add("runtime.mapaccess1", kPushPrologue)
                        .plan();
  ASSERT_EQ(plan.probes.size(), 3U);
  EXPECT_LT(plan.probes[0].address, plan.probes[1].address);
  EXPECT_LT(plan.probes[1].address, plan.probes[2].address);
}

TEST(PlanTest, NothingToPlan) {
  EXPECT_THAT(plan_functions({}).probes, IsEmpty());
  EXPECT_THAT(Program().add("main.mapassign", kPushPrologue).add("runtime.makemap", kPushPrologue).plan().probes,
              IsEmpty());
  EXPECT_THAT(plan_functions({{"runtime.mapassign", kBase, 0, Bytes()}}).probes, IsEmpty());
  EXPECT_THAT(plan_functions({{"runtime.throw", kBase, 0, Bytes()}}).probes, IsEmpty());
}

}  // namespace
}  // namespace mapwatch::attach
