#include "arch/candidates.h"

#include <gtest/gtest.h>

namespace mapwatch::arch {
namespace {

TEST(CandidatesTest, NamesAreExact) {
  EXPECT_EQ(find_candidate("runtime.mapaccess2_fat")->op, MW_OP_READ);
  EXPECT_EQ(find_candidate("maps.clone")->op, MW_OP_CLONE);
  for (const char* name : {"", "a", "zzz", "runtime.mapassign ", "runtime.mapassig", "runtime.mapassign_fast",
                           "runtime.", "reflect.maplen", "reflect.mapiterkey", "sync.fatal"}) {
    EXPECT_FALSE(find_candidate(name)) << name;
  }
}

}  // namespace
}  // namespace mapwatch::arch
