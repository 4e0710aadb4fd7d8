// A crash: its map, its other side, and what is no crash of maps.
#include <gtest/gtest.h>

#include "correlate/correlator.h"
#include "correlate/events.h"

namespace mapwatch::correlate {
namespace {

TEST(Correlator, OneCrashAProcess) {
  Correlator correlator;
  const Crash crash = crash_of(correlator.add(fatal("concurrent map writes", 5, 2'000)));
  EXPECT_EQ(crash.crash_class, "write_write");
  EXPECT_EQ(crash.reason, "concurrent map writes");
  EXPECT_FALSE(crash.other);
  EXPECT_FALSE(crash.first_hazard_ns);
  EXPECT_TRUE(correlator.add(fatal("concurrent map writes", 6, 2'001)).empty());
  EXPECT_EQ(correlator.crashes(), 1u);
  correlator.forget_process(100);
  EXPECT_EQ(correlator.add(fatal("concurrent map writes", 6, 3'000)).size(), 1u) << "the PID was used again";
}

TEST(Correlator, TheGoroutineThatHadTheProcessFrozenIsTheCrash) {
  Correlator correlator;
  auto second = fatal("concurrent map read and map write", 6, 2'000);
  second.flags = MW_FATAL_SECOND;
  EXPECT_TRUE(correlator.add(second).empty()) << "in the ring before the event that it is second to";
  auto first = fatal("concurrent map writes", 5, 2'001);
  first.flags = MW_FATAL_FROZEN;
  EXPECT_EQ(crash_of(correlator.add(first)).access.goid, 5u);
  EXPECT_EQ(correlator.crashes(), 1u);
}

TEST(Correlator, CrashNamesTheOtherWriterOfItsMap) {
  Correlator correlator;
  correlator.add(visitor(MW_OP_READ, 27, 1'000));
  const auto hazard = hazards_of(correlator.add(watcher(MW_OP_WRITE, 29, 900)));
  auto elsewhere = mark(MW_OP_WRITE, 33, 500);
  elsewhere.map += 0x100;
  correlator.add(elsewhere);
  const Crash crash = crash_of(correlator.add(fatal("concurrent map read and map write", 27, 5'000)));
  ASSERT_TRUE(crash.other);
  EXPECT_EQ(crash.other->goid, 29u);
  EXPECT_EQ(crash.map_type, 0x4a0000u);
  EXPECT_EQ(crash.map_len, 3u);
  EXPECT_EQ(crash.first_hazard_ns, 1'000u);
  EXPECT_EQ(crash.first_map_hazard_ns, 1'000u);
  ASSERT_EQ(crash.hazard_ids.size(), 2u);
  EXPECT_EQ(crash.hazard_ids[0], hazard[0].id);
}

TEST(Correlator, ReaderIsNeverTheOtherSideOfACrash) {
  Correlator correlator;
  correlator.add(visitor(MW_OP_READ, 27, 1'000));
  correlator.add(watcher(MW_OP_WRITE, 29, 900));
  EXPECT_FALSE(crash_of(correlator.add(fatal("concurrent map writes", 29, 5'000))).other);
}

TEST(Correlator, CrashUsesHalvesThatStillWait) {
  Correlator correlator;
  correlator.add(knowing(visitor(MW_OP_WRITE, 29, 4'000), MW_OP_WRITE, 27));
  const Crash crash = crash_of(correlator.add(fatal("concurrent map writes", 27, 5'000)));
  ASSERT_TRUE(crash.other);
  EXPECT_EQ(crash.other->goid, 29u);
  const auto late = hazards_of(correlator.settle(UINT64_MAX));
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].partner, Partner::kCrashBetween);
}

TEST(Correlator, ColdCrashTellsMapAndLastWriter) {
  Correlator correlator;
  auto dead = fatal("concurrent map read and map write", 27, 5'000);
  dead.last_type = 0x4a0000;
  dead.last_len = 3;
  dead.other_g = 0xc000000400;
  dead.other_goid = 29;
  dead.other_op = MW_OP_DELETE;
  dead.other_pc = 0x401230;
  const Crash crash = crash_of(correlator.add(dead));
  EXPECT_EQ(crash.map_type, 0x4a0000u);
  EXPECT_EQ(crash.map_len, 3u);
  ASSERT_TRUE(crash.other);
  EXPECT_EQ(crash.other->goid, 29u);
  EXPECT_EQ(crash.other->op, MW_OP_DELETE);
  EXPECT_EQ(crash.other->attribution, Attribution::kLastWriter);
  EXPECT_EQ(crash.other->stack, std::vector<std::uint64_t>{0x401230});
}

TEST(Correlator, CrashPrefersTheSideThatAHazardObserved) {
  Correlator correlator;
  correlator.add(visitor(MW_OP_WRITE, 29, 1'000));
  correlator.add(watcher(MW_OP_WRITE, 27, 1'100));
  auto dead = fatal("concurrent map writes", 27, 5'000);
  dead.other_g = 0xc000000400;
  dead.other_goid = 31;
  dead.other_op = MW_OP_WRITE;
  const Crash crash = crash_of(correlator.add(dead));
  ASSERT_TRUE(crash.other);
  EXPECT_EQ(crash.other->goid, 29u);
}

TEST(Correlator, CrashThatDoesNotTellItsMapIsTiedToTheSameCall) {
  const auto crash_after = [](std::uint64_t later_ns, auto change) {
    Correlator correlator;
    auto seen = knowing(mark(MW_OP_READ, 27, 1'000'000), MW_OP_WRITE, 29);
    seen.other_pc = 0x501230;
    correlator.add(seen);
    auto dead = fatal("concurrent map read and map write", 27, 1'000'000 + later_ns);
    dead.last_map = 0;
    dead.stack = {0x402000, 0x402100, 0x401003, seen.stack[1], seen.stack[2]};
    change(dead);
    return crash_of(correlator.add(dead));
  };
  const Crash tied = crash_after(30'000, [](auto&) {});
  EXPECT_EQ(tied.map, 0xc000012340u);
  EXPECT_TRUE(tied.map_by_hazard);
  ASSERT_TRUE(tied.other);
  EXPECT_EQ(tied.other->goid, 29u);
  EXPECT_EQ(crash_after(1'000'001, [](auto&) {}).map, 0u) << "too long before";
  EXPECT_EQ(crash_after(30'000, [](auto& e) { e.stack.back() += 1; }).map, 0u) << "another call";
  EXPECT_EQ(crash_after(30'000, [](auto& e) { e.goid = 28; }).map, 0u) << "another goroutine";
  EXPECT_EQ(crash_after(30'000, [](auto& e) { e.stack.resize(1); }).map, 0u) << "no stack";
  const Crash told = crash_after(30'000, [](auto& e) { e.last_map = 0xc0000aaaa0; });
  EXPECT_EQ(told.map, 0xc0000aaaa0u) << "what the frame says goes first";
  EXPECT_FALSE(told.map_by_hazard);
}

TEST(Correlator, OtherFatalErrorsAreLeftOutUnlessAsked) {
  Correlator plain;
  EXPECT_TRUE(plain.add(fatal("all goroutines are asleep - deadlock!", 1, 1)).empty());
  EXPECT_TRUE(plain.add(fatal("concurrent map writes and more", 1, 1)).empty());
  EXPECT_EQ(plain.crashes(), 0u);
  Correlator::Options options;
  options.all_fatals = true;
  Correlator all(options);
  EXPECT_EQ(crash_of(all.add(fatal("sync: unlock of\x1b[31m unlocked mutex", 1, 1))).reason,
            "sync: unlock of\\x1b[31m unlocked mutex");
  auto unreadable = fatal("", 1, 1);
  unreadable.flags = MW_FATAL_TEXT_UNREADABLE;
  EXPECT_EQ(crash_of(plain.add(unreadable)).crash_class, "other");
}

TEST(Correlator, ClassesOfAllStrings) {
  EXPECT_EQ(classify_map_fatal("concurrent map writes"), "write_write");
  EXPECT_EQ(classify_map_fatal("concurrent map read and map write"), "read_write");
  EXPECT_EQ(classify_map_fatal("concurrent map iteration and map write"), "iterate_write");
  EXPECT_EQ(classify_map_fatal("concurrent map clone and map write"), "clone_write");
  EXPECT_EQ(classify_map_fatal("small map with no empty slot (concurrent map writes?)"), "write_write");
  EXPECT_EQ(classify_map_fatal(""), std::nullopt);
}

TEST(Classify, APairIsTheCrashThatItWouldBe) {
  EXPECT_EQ(classify_pair(MW_OP_WRITE, MW_OP_DELETE), "write_write");
  EXPECT_EQ(classify_pair(MW_OP_CLEAR, MW_OP_CLEAR), "write_write");
  EXPECT_EQ(classify_pair(MW_OP_READ, MW_OP_WRITE), "read_write");
  EXPECT_EQ(classify_pair(MW_OP_DELETE, MW_OP_READ), "read_write");
  EXPECT_EQ(classify_pair(MW_OP_WRITE, MW_OP_ITERATE), "iterate_write");
  EXPECT_EQ(classify_pair(MW_OP_CLONE, MW_OP_WRITE), "clone_write");
}

}  // namespace
}  // namespace mapwatch::correlate
