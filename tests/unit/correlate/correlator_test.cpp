#include "correlate/correlator.h"

#include <gtest/gtest.h>

#include "correlate/events.h"

namespace mapwatch::correlate {
namespace {

std::vector<Hazard> hazards_of(const std::vector<Finding>& findings) {
  std::vector<Hazard> out;
  for (const Finding& finding : findings) {
    if (const auto* hazard = std::get_if<Hazard>(&finding)) {
      out.push_back(*hazard);
    }
  }
  return out;
}

Crash crash_of(const std::vector<Finding>& findings) {
  if (findings.size() == 1) {
    if (const auto* crash = std::get_if<Crash>(&findings[0])) {
      return *crash;
    }
  }
  ADD_FAILURE() << "not one crash but " << findings.size() << " findings";
  return {};
}

TEST(Correlator, PairsInEitherOrder) {
  for (const bool visitor_first : {true, false}) {
    Correlator correlator;
    const auto v = visitor(MW_OP_WRITE, 27, 1'001'800);
    const auto w = watcher(MW_OP_READ, 29, 1'000'000);
    EXPECT_TRUE(correlator.add(visitor_first ? v : w).empty());
    const auto found = hazards_of(correlator.add(visitor_first ? w : v));
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].accesses[0].goid, 27u);
    EXPECT_EQ(found[0].accesses[0].op, MW_OP_WRITE);
    EXPECT_EQ(found[0].accesses[1].goid, 29u);
    EXPECT_EQ(found[0].accesses[1].op, MW_OP_READ);
    EXPECT_EQ(found[0].overlap_ns, 1800u);
    EXPECT_EQ(found[0].time_ns, 1'001'800u);
    EXPECT_EQ(found[0].severity, Severity::kProven);
    EXPECT_TRUE(correlator.settle(UINT64_MAX).empty());
    EXPECT_EQ(correlator.lost_halves(), 0u);
    EXPECT_EQ(correlator.hazards(), 1u);
  }
}

TEST(Correlator, EachVisitorOfOneWatchIsAnOverlap) {
  Correlator correlator;
  EXPECT_TRUE(correlator.add(visitor(MW_OP_WRITE, 1)).empty());
  EXPECT_TRUE(correlator.add(visitor(MW_OP_WRITE, 2)).empty());
  EXPECT_EQ(correlator.add(watcher(MW_OP_WRITE, 3)).size(), 2u);
  const auto late = hazards_of(correlator.add(visitor(MW_OP_WRITE, 4)));
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].accesses[1].goid, 3u);
  EXPECT_TRUE(correlator.settle(UINT64_MAX).empty());
  EXPECT_EQ(correlator.lost_halves(), 0u);
}

TEST(Correlator, WatchToldTwiceIsOneOverlap) {
  Correlator correlator;
  correlator.add(visitor(MW_OP_WRITE, 1));
  EXPECT_EQ(correlator.add(watcher(MW_OP_WRITE, 3)).size(), 1u);
  EXPECT_TRUE(correlator.add(watcher(MW_OP_WRITE, 3)).empty());
}

TEST(Correlator, NeverPairsWhatIsNoOverlap) {
  const auto try_pair = [](ingest::AccessEvent a, ingest::AccessEvent b) {
    Correlator correlator;
    correlator.add(a);
    EXPECT_TRUE(correlator.add(b).empty());
    EXPECT_EQ(correlator.void_pairs(), 1u);
  };
  try_pair(visitor(MW_OP_READ, 1), watcher(MW_OP_ITERATE, 2));
  try_pair(visitor(MW_OP_READ, 1), watcher(MW_OP_CLONE, 2));
  try_pair(visitor(MW_OP_WRITE, 1), watcher(MW_OP_WRITE, 1));
  auto elsewhere = watcher(MW_OP_WRITE, 2);
  elsewhere.map += 0x30;
  try_pair(visitor(MW_OP_WRITE, 1), elsewhere);
}

TEST(Correlator, SlotGenerationAndProcessMustAgree) {
  Correlator correlator;
  correlator.add(visitor(MW_OP_WRITE, 1));
  auto other_slot = watcher(MW_OP_WRITE, 2);
  other_slot.slot = 8;
  auto other_generation = watcher(MW_OP_WRITE, 2);
  other_generation.generation = 4;
  auto other_process = watcher(MW_OP_WRITE, 2);
  other_process.head.tgid = 200;
  EXPECT_TRUE(correlator.add(other_slot).empty());
  EXPECT_TRUE(correlator.add(other_generation).empty());
  EXPECT_TRUE(correlator.add(other_process).empty());
  EXPECT_TRUE(correlator.settle(UINT64_MAX).empty());
  EXPECT_EQ(correlator.lost_halves(), 4u);
}

TEST(Correlator, LoneHalfIsReportedOnlyWhenItProvesTheOverlap) {
  Correlator correlator;
  correlator.add(knowing(visitor(MW_OP_WRITE, 27, 1000), MW_OP_READ, 29));
  EXPECT_TRUE(correlator.settle(50'000'999).empty()) << "too early";
  const auto found = hazards_of(correlator.settle(50'001'000));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].partner, Partner::kLost);
  EXPECT_EQ(found[0].accesses[1].attribution, Attribution::kUnknown);
  EXPECT_EQ(found[0].accesses[1].goid, 29u);
  EXPECT_EQ(found[0].accesses[1].op, MW_OP_READ);
  EXPECT_EQ(correlator.lost_halves(), 1u);

  correlator.add(visitor(MW_OP_WRITE, 27));
  EXPECT_TRUE(correlator.settle(UINT64_MAX).empty());
  correlator.add(knowing(visitor(MW_OP_READ, 27), MW_OP_READ, 29));
  EXPECT_TRUE(correlator.settle(UINT64_MAX).empty());
  correlator.add(knowing(visitor(MW_OP_WRITE, 27), MW_OP_WRITE, 27));
  EXPECT_TRUE(correlator.settle(UINT64_MAX).empty());
  EXPECT_EQ(correlator.lost_halves(), 4u);

  correlator.add(knowing(watcher(MW_OP_READ, 27), MW_OP_DELETE, 29));
  EXPECT_EQ(correlator.settle(UINT64_MAX).size(), 1u);
}

TEST(Correlator, WaitingHalvesAreBounded) {
  Correlator::Options options;
  options.max_pending = 10;
  Correlator correlator(options);
  std::size_t early = 0;
  for (std::uint32_t i = 0; i < 100; ++i) {
    auto event = knowing(visitor(MW_OP_WRITE, 1, 1000 + i), MW_OP_READ, 2);
    event.generation = i;
    early += correlator.add(event).size();
  }
  EXPECT_EQ(early, 90u);
  EXPECT_EQ(correlator.settle(UINT64_MAX).size(), 10u);
}

TEST(Correlator, MarkStandsAlone) {
  Correlator correlator;
  auto known = knowing(mark(MW_OP_READ, 27), MW_OP_DELETE, 29);
  known.other_pc = 0x501230;
  const auto found = hazards_of(correlator.add(known));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].severity, Severity::kImminent);
  EXPECT_EQ(found[0].accesses[1].attribution, Attribution::kLastWriter);
  EXPECT_EQ(found[0].accesses[1].stack, std::vector<std::uint64_t>{0x501230});
  EXPECT_EQ(found[0].accesses[1].op, MW_OP_DELETE);

  const auto unknown = hazards_of(correlator.add(mark(MW_OP_READ, 27)));
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_EQ(unknown[0].accesses[1].attribution, Attribution::kUnknown);
  EXPECT_TRUE(unknown[0].accesses[1].stack.empty());
  EXPECT_EQ(unknown[0].accesses[1].goid, 0u);
  EXPECT_NE(unknown[0].fingerprint, found[0].fingerprint);

  // The last recorded writer is the visitor itself: whoever is inside was not recorded.
  const auto self = hazards_of(correlator.add(knowing(mark(MW_OP_WRITE, 27), MW_OP_WRITE, 27)));
  ASSERT_EQ(self.size(), 1u);
  EXPECT_EQ(self[0].accesses[1].attribution, Attribution::kUnknown);
  EXPECT_EQ(self[0].accesses[1].goid, 0u);
}

TEST(Correlator, FingerprintIgnoresOrderGoroutinesAndLoadBias) {
  Correlator correlator;
  correlator.add(visitor(MW_OP_WRITE, 27));
  const auto one = hazards_of(correlator.add(watcher(MW_OP_READ, 29)));

  auto a = visitor(MW_OP_READ, 29, 2'000'000);
  auto b = watcher(MW_OP_WRITE, 27, 2'000'000);
  a.generation = b.generation = 9;
  a.goid = 1029;
  a.g += 0x100000;
  correlator.add(a);
  const auto swapped = hazards_of(correlator.add(b));
  ASSERT_EQ(one.size(), 1u);
  ASSERT_EQ(swapped.size(), 1u);
  EXPECT_EQ(one[0].id, swapped[0].id);
  EXPECT_EQ(swapped[0].count, 2u);

  correlator.set_process({.tgid = 300, .load_bias = 0x7000'0000'0000, .build_id = ""});
  auto c = visitor(MW_OP_WRITE, 27);
  auto d = watcher(MW_OP_READ, 29);
  for (auto* event : {&c, &d}) {
    event->head.tgid = 300;
    event->type += 0x7000'0000'0000;
    for (auto& pc : event->stack) {
      pc += 0x7000'0000'0000;
    }
  }
  correlator.add(c);
  const auto pie = hazards_of(correlator.add(d));
  ASSERT_EQ(pie.size(), 1u);
  EXPECT_EQ(pie[0].id, one[0].id);
  EXPECT_EQ(pie[0].count, 1u) << "counted by process";
  EXPECT_EQ(correlator.hazards(), 1u);
}

TEST(Correlator, FingerprintTellsStacksTypesAndBinariesApart) {
  const auto id = [](std::uint64_t type, std::uint64_t pc, const char* build_id) {
    Correlator correlator;
    correlator.set_process({.tgid = 100, .load_bias = 0, .build_id = build_id});
    auto v = visitor(MW_OP_WRITE, 1);
    v.type = type;
    v.stack.back() = pc;
    correlator.add(v);
    return hazards_of(correlator.add(watcher(MW_OP_WRITE, 2))).at(0).id;
  };
  const std::string base = id(0x4a0000, 0x600000, "a");
  EXPECT_EQ(base, id(0x4a0000, 0x600000, "a"));
  EXPECT_NE(base, id(0x4a0040, 0x600000, "a"));
  EXPECT_NE(base, id(0x4a0000, 0x600001, "a"));
  EXPECT_NE(base, id(0x4a0000, 0x600000, "b"));
  EXPECT_EQ(base.size(), 11u);
}

TEST(Correlator, PrintsFirstTenthHundredthThousandthAndOnceAMinute) {
  Correlator correlator;
  std::vector<std::uint64_t> printed;
  for (std::uint64_t i = 1; i <= 20000; ++i) {
    const auto found = hazards_of(correlator.add(mark(MW_OP_WRITE, 1, i)));
    ASSERT_EQ(found.size(), 1u);
    ASSERT_EQ(found[0].count, i);
    if (found[0].print) {
      printed.push_back(i);
    }
  }
  EXPECT_EQ(printed, (std::vector<std::uint64_t>{1, 10, 100, 1000}));
  EXPECT_FALSE(hazards_of(correlator.add(mark(MW_OP_WRITE, 1, 59'000'000'000)))[0].print);
  EXPECT_TRUE(hazards_of(correlator.add(mark(MW_OP_WRITE, 1, 61'000'000'000)))[0].print);
  EXPECT_FALSE(hazards_of(correlator.add(mark(MW_OP_WRITE, 1, 62'000'000'000)))[0].print);
  EXPECT_FALSE(hazards_of(correlator.add(mark(MW_OP_WRITE, 1, 5)))[0].print) << "time stepped back";
}

TEST(Correlator, HigherSeverityIsKeptAndPrinted) {
  Correlator correlator;
  auto lone = knowing(visitor(MW_OP_WRITE, 27), MW_OP_WRITE, 29);
  correlator.add(lone);
  const auto proven = hazards_of(correlator.settle(UINT64_MAX));
  ASSERT_EQ(proven.size(), 1u);
  EXPECT_EQ(proven[0].severity, Severity::kProven);
  const auto imminent = hazards_of(correlator.add(mark(MW_OP_WRITE, 27)));
  ASSERT_EQ(imminent.size(), 1u);
  EXPECT_EQ(imminent[0].id, proven[0].id);
  EXPECT_TRUE(imminent[0].print);
  correlator.add(lone);
  const auto again = hazards_of(correlator.settle(UINT64_MAX));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].severity, Severity::kImminent);
  EXPECT_FALSE(again[0].print);
}

TEST(Correlator, FingerprintsAreBounded) {
  Correlator::Options options;
  options.max_fingerprints = 8;
  Correlator correlator(options);
  for (std::uint64_t goid = 1; goid <= 20; ++goid) {
    correlator.add(mark(MW_OP_WRITE, goid));
  }
  EXPECT_EQ(correlator.forgotten(), 12u);
  EXPECT_EQ(correlator.hazards(), 20u);
  EXPECT_EQ(hazards_of(correlator.add(mark(MW_OP_WRITE, 20)))[0].count, 2u);
  EXPECT_EQ(hazards_of(correlator.add(mark(MW_OP_WRITE, 1)))[0].count, 1u);
}

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

TEST(Correlator, ExecForgetsTheOldProgram) {
  Correlator correlator;
  correlator.add(mark(MW_OP_WRITE, 1));
  correlator.add(knowing(visitor(MW_OP_WRITE, 29), MW_OP_WRITE, 27));
  ingest::ExecEvent exec;
  exec.head.tgid = 100;
  EXPECT_EQ(correlator.add(exec).size(), 1u) << "the waiting half is settled";
  const Crash crash = crash_of(correlator.add(fatal("concurrent map writes", 5, 9'000)));
  EXPECT_TRUE(crash.hazard_ids.empty());
  EXPECT_FALSE(crash.other);
}

TEST(Correlator, NewBuildOfAProcessStartsAfresh) {
  Correlator correlator;
  correlator.set_process({.tgid = 100, .load_bias = 0, .build_id = "a"});
  correlator.add(mark(MW_OP_WRITE, 1));
  correlator.set_process({.tgid = 100, .load_bias = 0, .build_id = "a"});
  EXPECT_EQ(hazards_of(correlator.add(mark(MW_OP_WRITE, 1)))[0].count, 2u);
  correlator.set_process({.tgid = 100, .load_bias = 0, .build_id = "b"});
  EXPECT_EQ(hazards_of(correlator.add(mark(MW_OP_WRITE, 1)))[0].count, 1u);
}

}  // namespace
}  // namespace mapwatch::correlate
