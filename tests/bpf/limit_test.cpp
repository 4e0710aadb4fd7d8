// A process's hits are limited until the governor looks again.
#include <gtest/gtest.h>

#include "machine.h"

namespace mapwatch::bpf_test {
namespace {

const Goroutine kA{0xc000000010ull, 100, 101, 0x401000};
const Goroutine kB{0xc000000020ull, 100, 102, 0x402000};

class LimitTest : public testing::Test {
 protected:
  LimitTest() { machine_.hold_all(); }

  void limit(mw_u32 epoch, mw_u64 hits) {
    machine_.policies[100].epoch = epoch;
    machine_.policies[100].hit_limit = hits;
  }
  void write(int count) {
    for (int i = 0; i < count; ++i) {
      machine_.hit(kA, MW_OP_WRITE, map_);
    }
  }
  /// A comes to a map whose mark is set until somebody waits for it, while some sites are not armed.
  void hit_marked_in_part(GoMap& map) {
    map.set_mark(true);
    machine_.hook = [&map](const std::string& point) {
      if (point == "turn") {
        map.set_mark(false);
      }
    };
    machine_.policies[100].flags |= MW_POLICY_PARTIAL;
    machine_.hit(kA, MW_OP_WRITE, map);
  }

  Machine machine_;
  const GoMap& map_ = machine_.new_map();
};

TEST_F(LimitTest, NoLimitIsNone) {
  write(1000);
  EXPECT_EQ(machine_.counters.hits, 1000u);
  EXPECT_TRUE(machine_.overs.empty());
}

TEST_F(LimitTest, TheLimitIsToldOnceAndFarBeyondItHitsAreNotLookedAt) {
  limit(7, 64);
  write(64);
  EXPECT_TRUE(machine_.overs.empty());
  write(29'936);
  EXPECT_EQ(machine_.counters.hits, 64u + MW_OVERRUN);
  EXPECT_EQ(machine_.targets[0].hits, 30'000u) << "each is a trap all the same";
  EXPECT_EQ(machine_.sites[7].hits, 30'000u) << "and the governor knows where";
  ASSERT_EQ(machine_.overs.size(), 1u);
  EXPECT_EQ(machine_.overs[0].epoch, 7u);
  EXPECT_EQ(machine_.overs[0].head.tgid, 100u);
}

// A read of a nil map is no operation that could race, but a trap.
TEST_F(LimitTest, NilMapsArePaidForAtTheirSite) {
  GoMap nil;
  machine_.hit(kA, MW_OP_READ, nil);
  EXPECT_EQ(machine_.counters.hits, 0u);
  EXPECT_EQ(machine_.targets[0].hits, 1u);
  EXPECT_EQ(machine_.sites[7].hits, 1u);
}

TEST_F(LimitTest, ANewEpochStartsTheCountAgain) {
  limit(1, 32);
  write(20'000);
  limit(2, 32);
  write(20'000);
  EXPECT_EQ(machine_.counters.hits, 64u + 2 * MW_OVERRUN);
  EXPECT_EQ(machine_.overs.size(), 2u);
}

TEST_F(LimitTest, CreditOfAnOldEpochIsWorthNothing) {
  limit(1, 1000);
  write(3);
  limit(2, 16);
  write(20'000);
  EXPECT_EQ(machine_.counters.hits, 3u + 16u + MW_OVERRUN);
}

TEST_F(LimitTest, AnEventThatFindsTheRingFullIsCounted) {
  limit(1, 16);
  machine_.ring_full = true;
  write(100);
  EXPECT_TRUE(machine_.overs.empty());
  EXPECT_EQ(machine_.counters.lost_ring, 1u);
}

TEST_F(LimitTest, SitesCountHitsAndThoseOnSharedMaps) {
  write(2);
  machine_.hit(kB, MW_OP_WRITE, map_);
  machine_.hit(kB, MW_OP_WRITE, map_);
  mw_u64 hits = 0;
  mw_u64 candidates = 0;
  for (const auto& [site, counts] : machine_.sites) {
    hits += counts.hits;
    candidates += counts.candidates;
  }
  EXPECT_EQ(hits, 4u);
  EXPECT_GE(candidates, 1u);
  EXPECT_LE(candidates, 2u);
}

// What was recorded of a map that is watched in part may not be the last that happened to it.
TEST_F(LimitTest, WatchedInPartAMarkNamesNobody) {
  GoMap& map = machine_.new_map();
  machine_.hit(kB, MW_OP_WRITE, map);
  hit_marked_in_part(map);
  ASSERT_EQ(machine_.events.size(), 1u);
  EXPECT_EQ(machine_.events[0].evidence, MW_EVIDENCE_MARK);
  EXPECT_EQ(machine_.events[0].other_g, 0u);
}

// The last accessor that was recorded is this goroutine, but another one writes by a site that is not armed.
TEST_F(LimitTest, WatchedInPartTheMarkOfAMapThatSeemsToBeOnesOwnIsRead) {
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  machine_.hit(kA, MW_OP_WRITE, map);
  hit_marked_in_part(map);
  EXPECT_EQ(machine_.events.size(), 1u);
}

}  // namespace
}  // namespace mapwatch::bpf_test
