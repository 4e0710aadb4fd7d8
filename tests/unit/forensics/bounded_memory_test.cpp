#include "forensics/bounded_memory.h"

#include <gtest/gtest.h>

#include <vector>

namespace mapwatch::forensics {
namespace {

class FakeClock : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return now; }
  std::int64_t realtime_ns() const override { return 0; }
  std::uint64_t now = 0;
};

/// Every read succeeds and takes 1 ns.
class SlowMemory : public Memory {
 public:
  explicit SlowMemory(FakeClock& clock) : clock_(clock) {}
  bool read(std::uint64_t, std::span<std::uint8_t>) const override {
    ++clock_.now;
    return true;
  }
  std::span<const Mapping> mappings() const override { return {}; }

 private:
  FakeClock& clock_;
};

TEST(BoundedMemory, ReadsUntilTheMomentAndNotBeyond) {
  FakeClock clock;
  const SlowMemory inner(clock);
  const BoundedMemory memory(inner, clock, 2);
  EXPECT_TRUE(memory.word(8));
  EXPECT_TRUE(memory.word(8));
  EXPECT_FALSE(memory.cut());
  EXPECT_FALSE(memory.word(8));
  EXPECT_TRUE(memory.cut());
  EXPECT_EQ(clock.now, 2u);
}

TEST(BoundedMemory, LooksAtTheClockBetweenBatchesOfMany) {
  FakeClock clock;
  const SlowMemory inner(clock);
  const BoundedMemory memory(inner, clock, 10);
  std::vector<std::uint8_t> byte(1);
  std::vector<ReadRequest> requests(20'000, ReadRequest{1, byte, true});
  memory.read_many(requests);
  EXPECT_TRUE(requests.front().ok);
  EXPECT_FALSE(requests.back().ok);
  EXPECT_TRUE(memory.cut());
  EXPECT_LT(clock.now, 20'000u);
}

TEST(BoundedMemory, LooksAtTheClockBetweenLargeReads) {
  FakeClock clock;
  const SlowMemory inner(clock);
  const BoundedMemory memory(inner, clock, 1);
  std::vector<std::uint8_t> large(std::size_t{40} << 20);
  std::vector<ReadRequest> requests(3, ReadRequest{1, large, false});
  memory.read_many(requests);
  EXPECT_TRUE(requests[0].ok);
  EXPECT_FALSE(requests[1].ok || requests[2].ok);
}

}  // namespace
}  // namespace mapwatch::forensics
