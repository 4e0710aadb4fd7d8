// Processes that nobody told the kernel side of: adopted at their first hit, or told of at their exec.
#include <gtest/gtest.h>

#include "machine.h"

namespace mapwatch::bpf_test {
namespace {

const Goroutine kA{0xc000000010ull, 300, 301, 0x401000};
const Goroutine kB{0xc000000020ull, 300, 302, 0x402000};

class AdoptTest : public testing::Test {
 protected:
  AdoptTest() { machine_.layout.flags = MW_LAYOUT_VALID | MW_LAYOUT_ADOPT; }
  Machine machine_;
};

TEST_F(AdoptTest, FirstHitIsWatchedAndToldOnce) {
  const GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  machine_.hit(kB, MW_OP_WRITE, map);
  ASSERT_EQ(machine_.heads.size(), 1u);
  EXPECT_EQ(machine_.heads[0].kind, MW_EVENT_NEW);
  EXPECT_EQ(machine_.heads[0].tgid, 300u);
  EXPECT_EQ(machine_.counters.hits, 2u);
  EXPECT_EQ(machine_.targets[MW_ADOPTED_SLOT].hits, 2u);
  EXPECT_EQ(machine_.policies.at(300).flags, MW_POLICY_MARK_ONLY | MW_POLICY_ADOPTED);
}

TEST_F(AdoptTest, MarksAreSeenAndNobodyIsHeld) {
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  map.set_mark(true);
  machine_.hook = [](const std::string& at) { EXPECT_NE(at, "turn"); };
  machine_.hit(kB, MW_OP_READ, map);
  ASSERT_EQ(machine_.events.size(), 1u);
  EXPECT_EQ(machine_.events[0].evidence, MW_EVIDENCE_MARK);
  EXPECT_EQ(machine_.targets[MW_ADOPTED_SLOT].held_ns, 0u);
}

TEST_F(AdoptTest, CrashIsTold) {
  machine_.hit(kA, MW_OP_WRITE, machine_.new_map());
  machine_.fatal(kA, "concurrent map writes");
  ASSERT_EQ(machine_.fatals.size(), 1u);
  EXPECT_FALSE(machine_.fatals[0].flags & MW_FATAL_FROZEN);
}

TEST_F(AdoptTest, LayoutOfOneProcessAdoptsNobody) {
  machine_.layout.flags = MW_LAYOUT_VALID;
  machine_.hit(kA, MW_OP_WRITE, machine_.new_map());
  EXPECT_TRUE(machine_.heads.empty());
  EXPECT_TRUE(machine_.policies.empty());
  EXPECT_EQ(machine_.counters.ignored, 1u);
}

TEST_F(AdoptTest, WhoCannotBeToldOfIsNotAdoptedAndCounted) {
  machine_.ring_full = true;
  machine_.hit(kA, MW_OP_WRITE, machine_.new_map());
  EXPECT_TRUE(machine_.policies.empty());
  EXPECT_EQ(machine_.counters.lost_new, 1u);
  machine_.ring_full = false;
  machine_.hit(kA, MW_OP_WRITE, machine_.new_map());
  EXPECT_EQ(machine_.heads.size(), 1u);
}

TEST_F(AdoptTest, FullTableAdoptsNobody) {
  machine_.policies_full = true;
  machine_.hit(kA, MW_OP_WRITE, machine_.new_map());
  EXPECT_TRUE(machine_.heads.empty());
  EXPECT_EQ(machine_.counters.ignored, 1u);
}

TEST_F(AdoptTest, IgnoredStaysIgnored) {
  mw_policy policy = {};
  policy.flags = MW_POLICY_IGNORE;
  machine_.allow(300, policy);
  machine_.hit(kA, MW_OP_WRITE, machine_.new_map());
  machine_.fatal(kA, "concurrent map writes");
  EXPECT_TRUE(machine_.heads.empty());
  EXPECT_TRUE(machine_.fatals.empty());
  EXPECT_EQ(machine_.counters.ignored, 1u);
  EXPECT_EQ(machine_.counters.hits, 0u);
}

// Two links on one file (two mounts of it): the operation is counted by one of them.
TEST_F(AdoptTest, HitOfAnotherLinkOnTheFileIsNotCounted) {
  machine_.hold_all(300);
  machine_.policies.at(300).layout = 1;
  machine_.hit(kA, MW_OP_WRITE, machine_.new_map());
  machine_.fatal(kA, "concurrent map writes");
  EXPECT_EQ(machine_.counters.hits, 0u);
  EXPECT_EQ(machine_.counters.ignored, 1u);
  EXPECT_TRUE(machine_.fatals.empty());
}

TEST_F(AdoptTest, ExecOfAWatchedProcessEndsItsPolicy) {
  machine_.hold_all(300);
  machine_.exec(300, false);
  ASSERT_EQ(machine_.heads.size(), 1u);
  EXPECT_EQ(machine_.heads[0].kind, MW_EVENT_EXEC);
  EXPECT_TRUE(machine_.policies.empty());
}

TEST_F(AdoptTest, OtherExecsAreToldOfWhenAskedFor) {
  machine_.exec(400, false);
  EXPECT_TRUE(machine_.heads.empty());
  machine_.exec(400, true);
  ASSERT_EQ(machine_.heads.size(), 1u);
  EXPECT_EQ(machine_.heads[0].kind, MW_EVENT_NEW);
  EXPECT_EQ(machine_.heads[0].tgid, 400u);
}

TEST_F(AdoptTest, ExecOfAnAdoptedOrIgnoredProcessMakesItNewAgain) {
  machine_.hit(kA, MW_OP_WRITE, machine_.new_map());
  machine_.exec(300, true);
  ASSERT_EQ(machine_.heads.size(), 2u);
  EXPECT_EQ(machine_.heads[1].kind, MW_EVENT_NEW);
  EXPECT_TRUE(machine_.policies.empty());
  mw_policy policy = {};
  policy.flags = MW_POLICY_IGNORE;
  machine_.allow(300, policy);
  machine_.exec(300, true);
  EXPECT_TRUE(machine_.policies.empty());
}

TEST_F(AdoptTest, LostExecIsCounted) {
  machine_.ring_full = true;
  machine_.hold_all(300);
  machine_.exec(300, true);
  machine_.exec(400, true);
  EXPECT_EQ(machine_.counters.lost_ring, 2u);
  EXPECT_EQ(machine_.counters.lost_new, 2u);
}

}  // namespace
}  // namespace mapwatch::bpf_test
