// Which operations are held: bounds per map, per process and per pair of sites.
#include <gtest/gtest.h>

#include "machine.h"

namespace mapwatch::bpf_test {
namespace {

const Goroutine kA{0xc000000010ull, 100, 101, 0x401000};
const Goroutine kB{0xc000000020ull, 100, 102, 0x402000};

class AllowanceTest : public testing::Test {
 protected:
  AllowanceTest() {
    machine_.hold_all();
    machine_.policies[100].flags = 0;
  }

  /// `count` alternating writes of A and B, `gap_ns` apart.
  void alternate(const GoMap& map, int count, mw_u64 gap_ns) {
    for (int i = 0; i < count; ++i) {
      machine_.hit(i % 2 == 0 ? kA : kB, MW_OP_WRITE, map);
      machine_.now += gap_ns;
    }
  }

  Machine machine_;
};

TEST_F(AllowanceTest, SlowMapIsLookedAtCloselyAtFirstThenTwentyTimesASecond) {
  const GoMap& map = machine_.new_map();
  alternate(map, 100, 10'000'000);  // 100 a second, and none is due when one is there: one in four
  EXPECT_GE(machine_.counters.dwells, 15u) << "new pairs of sites";
  alternate(map, 8000, 10'000'000);
  const mw_u64 before = machine_.counters.dwells;
  EXPECT_LE(before, 2'500u);
  alternate(map, 1000, 10'000'000);
  EXPECT_GE(machine_.counters.dwells - before, 80u);
  EXPECT_LE(machine_.counters.dwells - before, 300u);
}

// Two goroutines come by every 10 ms, 9.9 ms apart: who comes 9.9 ms after the other one is about to be met by it.
TEST_F(AllowanceTest, WhoseOtherSideIsDueIsHeldAndWhoHasJustSeenItSeldom) {
  const GoMap& map = machine_.new_map();
  mw_u64 due = 0;
  mw_u64 undue = 0;
  constexpr int kRounds = 60;
  for (int round = 0; round < kRounds; ++round) {
    const mw_u64 before = machine_.counters.dwells;
    const mw_u64 start = machine_.now;
    machine_.hit(kA, MW_OP_WRITE, map);
    const mw_u64 between = machine_.counters.dwells;
    machine_.now = start + 100'000;
    machine_.hit(kB, MW_OP_WRITE, map);
    due += between - before;
    undue += machine_.counters.dwells - between;
    machine_.now = start + 10'000'000;
  }
  EXPECT_GE(due, kRounds * 9 / 10u);
  EXPECT_GE(undue, 1u) << "what comes unlike before would never be met";
  EXPECT_LE(undue, kRounds / 2u);
}

TEST_F(AllowanceTest, FastMapIsBoundByTheProcessBucket) {
  const mw_u64 begin = machine_.now;
  alternate(machine_.new_map(), 200'000, 1'000);
  const mw_u64 wall = machine_.now - begin;
  const mw_u64 allowed = wall / 1'000'000 * machine_.policies[100].share_ppm + machine_.policies[100].burst_ns * 2;
  EXPECT_GT(machine_.counters.dwells, 10u);
  EXPECT_LE(machine_.counters.dwell_ns, allowed);
  EXPECT_GT(machine_.counters.refused_budget + machine_.counters.refused_rate, 0u);
}

// Many maps at one busy pair of sites, and one rare pair: the rare one is served all the same.
TEST_F(AllowanceTest, RarePairIsNotStarved) {
  std::vector<const GoMap*> busy;
  for (int i = 0; i < 200; ++i) {
    busy.push_back(&machine_.new_map());
  }
  const GoMap& rare = machine_.new_map();
  Goroutine rare_a = kA;
  Goroutine rare_b = kB;
  rare_a.depth = 0x70;
  rare_b.depth = 0x80;
  mw_u64 rare_dwells = 0;
  for (int round = 0; round < 400; ++round) {
    for (const GoMap* map : busy) {
      machine_.hit(round % 2 == 0 ? kA : kB, MW_OP_WRITE, *map);
    }
    const mw_u64 before = machine_.counters.dwells;
    machine_.hit(round % 2 == 0 ? rare_a : rare_b, MW_OP_WRITE, rare);
    rare_dwells += machine_.counters.dwells - before;
    machine_.now += 1'000'000;
  }
  EXPECT_GT(machine_.counters.refused_budget, 0u);
  EXPECT_GE(rare_dwells, 5u);
}

// Who comes by every millisecond is met by who stands there for long, from the start on; who comes every 60 us soon.
TEST_F(AllowanceTest, DwellIsAsLongAsTheMapsPause) {
  alternate(machine_.new_map(), 12, 1'000'000);
  ASSERT_GT(machine_.counters.dwells, 5u);
  const mw_u64 seldom = machine_.counters.dwell_ns / machine_.counters.dwells;
  EXPECT_GT(seldom, 170'000u);
  EXPECT_LT(seldom, 230'000u);

  Machine often;
  often.hold_all();
  often.policies[100].flags = 0;
  const GoMap& map = often.new_map();
  for (int i = 0; i < 12; ++i) {
    often.hit(i % 2 == 0 ? kA : kB, MW_OP_WRITE, map);
    often.now += 10'000;
  }
  ASSERT_GT(often.counters.dwells, 5u);
  EXPECT_LT(often.counters.dwell_ns / often.counters.dwells, 100'000u);
}

// A process that was not held before may be held for the whole burst at once.
TEST_F(AllowanceTest, BucketIsFullAtFirst) {
  machine_.policies[100].share_ppm = 1;
  machine_.policies[100].burst_ns = 1'000'000;
  alternate(machine_.new_map(), 100, 1'000);
  EXPECT_GT(machine_.counters.dwell_ns, 400'000u);
  EXPECT_LT(machine_.counters.dwell_ns, 1'300'000u);
}

// Memory of maps that live for one request is used again by the next goroutine's: no map that two goroutines share.
// They are held by what the shared ones leave.
TEST_F(AllowanceTest, MapsThatLiveForOneGoroutineDoNotTakeTheBucketFromSharedOnes) {
  const auto held_on_shared = [](bool seed_known) {
    Machine machine;
    machine.hold_all();
    machine.policies[100].flags = 0;
    machine.policies[100].share_ppm = 1'000;
    machine.policies[100].burst_ns = 2'000'000;
    machine.layout.seed = seed_known ? 8 : 0;
    GoMap& requests = machine.new_map();
    const GoMap& shared = machine.new_map();
    mw_u64 on_requests = 0;
    mw_u64 on_shared = 0;
    for (int i = 0; i < 60'000; ++i) {
      requests.header[8] = static_cast<unsigned char>(i);
      requests.header[9] = static_cast<unsigned char>(i >> 8);
      const Goroutine& who = i % 2 == 0 ? kA : kB;
      const mw_u64 before = machine.counters.dwells;
      for (int op = 0; op < 4; ++op) {
        machine.hit(who, MW_OP_WRITE, requests);
      }
      on_requests += machine.counters.dwells - before;
      if (i % 10 == 0) {
        const mw_u64 between = machine.counters.dwells;
        machine.hit(i % 20 == 0 ? kA : kB, MW_OP_WRITE, shared);
        on_shared += machine.counters.dwells - between;
      }
      machine.now += 1'000'000;
    }
    EXPECT_GT(on_requests, 0u) << "a map that is shared for some operations only is one of these at first";
    return on_shared;
  };
  EXPECT_GT(held_on_shared(true), 2 * held_on_shared(false));
}

// A dwell that others queue behind (they come to the map just after it) is not made longer; one that holds nobody up
// is.
TEST_F(AllowanceTest, DwellGrowsOnlyWhereNobodyQueues) {
  const GoMap& calm = machine_.new_map();
  alternate(calm, 3000, 10'000'000);
  const mw_u64 calm_mean = machine_.counters.dwell_ns / machine_.counters.dwells;
  EXPECT_GT(calm_mean, 100'000u);

  Machine crowded;
  crowded.hold_all();
  crowded.policies[100].flags = 0;
  const GoMap& map = crowded.new_map();
  for (int i = 0; i < 3000; ++i) {
    crowded.hit(i % 2 == 0 ? kA : kB, MW_OP_WRITE, map);
    crowded.hit(i % 2 == 0 ? kB : kA, MW_OP_WRITE, map);
    crowded.now += 10'000'000;
  }
  EXPECT_LT(crowded.counters.dwell_ns / crowded.counters.dwells, 60'000u);
}

}  // namespace
}  // namespace mapwatch::bpf_test
