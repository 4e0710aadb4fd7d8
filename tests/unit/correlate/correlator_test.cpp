#include "correlate/correlator.h"

#include <gtest/gtest.h>

#include "correlate/events.h"

namespace mapwatch::correlate {
namespace {

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
