// Who calls map functions is counted while the policy asks for it.
#include <gtest/gtest.h>

#include "machine.h"

namespace mapwatch::bpf_test {
namespace {

const Goroutine kA{0xc000000010ull, 100, 101, 0x401000};
const Goroutine kB{0xc000000020ull, 100, 102, 0x402000};

class LearnTest : public testing::Test {
 protected:
  LearnTest() {
    machine_.hold_all();
    machine_.policies[100].flags = MW_POLICY_LEARN;
  }
  mw_caller_count of(mw_u64 pc) const {
    for (const mw_caller_count& each : machine_.callers) {
      if (each.pc == pc) {
        return each;
      }
    }
    return {};
  }

  Machine machine_;
  const GoMap& map_ = machine_.new_map();
};

TEST_F(LearnTest, HitsAreCountedByCaller) {
  for (int i = 0; i < 30; ++i) {
    machine_.hit(kA, MW_OP_WRITE, map_);
  }
  machine_.hit(kB, MW_OP_WRITE, map_);
  EXPECT_EQ(of(0x401000).hits, 30u);
  EXPECT_EQ(of(0x401000).tgid, 100u);
  EXPECT_EQ(of(0x401000).site, 7u);
  EXPECT_EQ(of(0x402000).hits, 1u);
}

TEST_F(LearnTest, NothingIsLearntUnlessAskedFor) {
  machine_.policies[100].flags = 0;
  machine_.hit(kA, MW_OP_WRITE, map_);
  EXPECT_EQ(of(0x401000).hits, 0u);
}

TEST_F(LearnTest, ACallSiteIsNoFunction) {
  machine_.hit(kA, MW_OP_WRITE, map_, MW_SITE_CALL);
  EXPECT_EQ(of(0x401000).hits, 0u);
}

TEST_F(LearnTest, ANewcomerBeginsAtOne) {
  Goroutine other = kA;
  for (mw_u64 pc = 0x500000; pc < 0x500000 + 3 * MW_CALLERS; ++pc) {
    other.caller_pc = pc;
    machine_.hit(other, MW_OP_WRITE, map_);
  }
  for (const mw_caller_count& each : machine_.callers) {
    EXPECT_LE(each.hits, 1u);
  }
}

}  // namespace
}  // namespace mapwatch::bpf_test
