#include "correlate/trust.h"

#include <gtest/gtest.h>

#include "correlate/events.h"

namespace mapwatch::correlate {
namespace {

TEST(Trust, SoundIdsAreBelieved) {
  EXPECT_FALSE(nonsense(visitor(MW_OP_WRITE, 1)));
  EXPECT_FALSE(nonsense(visitor(MW_OP_WRITE, 99'000'000'000)));
  EXPECT_FALSE(nonsense(knowing(visitor(MW_OP_WRITE, 7), MW_OP_READ, 8)));
  // One goroutine may be its own last writer; what is not known of the other side is no evidence.
  EXPECT_FALSE(nonsense(knowing(visitor(MW_OP_WRITE, 7), MW_OP_WRITE, 7)));
  ingest::AccessEvent unread = knowing(visitor(MW_OP_WRITE, 7), MW_OP_WRITE, 8);
  unread.other_goid = 0;
  EXPECT_FALSE(nonsense(unread));
  ingest::AccessEvent stale = knowing(visitor(MW_OP_WRITE, 7), MW_OP_WRITE, 8);
  stale.other_goid = 7;
  stale.flags = 0;
  EXPECT_FALSE(nonsense(stale));
}

TEST(Trust, IdsThatNoGoroutineHas) {
  ingest::AccessEvent event = visitor(MW_OP_WRITE, 7);
  event.goid = 0;
  EXPECT_TRUE(nonsense(event));
  event.goid = 0xc000012340;
  EXPECT_NE(nonsense(event)->find("0xc000012340"), std::string::npos);
  event.goid = ~std::uint64_t{0};
  EXPECT_TRUE(nonsense(event));
}

TEST(Trust, TwoGoroutinesOfOneId) {
  ingest::AccessEvent event = knowing(visitor(MW_OP_WRITE, 7), MW_OP_WRITE, 8);
  event.goid = event.other_goid = 2;  // as g.atomicstatus of two running goroutines reads
  ASSERT_TRUE(nonsense(event));
  EXPECT_NE(nonsense(event)->find("both read as id 2"), std::string::npos);
}

TEST(Trust, IsLostByOneProcessOnceAndRegainedByTheNextProgram) {
  Trust trust;
  ingest::AccessEvent bad = visitor(MW_OP_WRITE, 7);
  bad.goid = 0;
  EXPECT_FALSE(trust.judge(visitor(MW_OP_WRITE, 7)));
  EXPECT_TRUE(trust.judge(bad));
  EXPECT_FALSE(trust.judge(bad)) << "told twice";
  EXPECT_TRUE(trust.distrusts(bad.head.tgid));
  EXPECT_FALSE(trust.distrusts(bad.head.tgid + 1));
  trust.forget(bad.head.tgid);
  EXPECT_FALSE(trust.distrusts(bad.head.tgid));
  EXPECT_TRUE(trust.judge(bad));
}

TEST(Trust, FatalErrorsOnASystemStackAreNoNonsense) {
  Trust trust;
  EXPECT_FALSE(trust.judge(fatal("concurrent map writes", 0, 1)));
}

}  // namespace
}  // namespace mapwatch::correlate
