// A writing mark that is seen set: what is reported of it, who is named, and for how long one is held.
#include <gtest/gtest.h>

#include "machine.h"

namespace mapwatch::bpf_test {
namespace {

const Goroutine kA{0xc000000010ull, 100, 101, 0x401000};
const Goroutine kB{0xc000000020ull, 100, 102, 0x402000};
const Goroutine kC{0xc000000030ull, 100, 103, 0x403000};

class MarkTest : public testing::Test {
 protected:
  MarkTest() { machine_.hold_all(); }

  /// Makes `map` a candidate: two goroutines have written it.
  void share(const GoMap& map) {
    machine_.hit(kA, MW_OP_WRITE, map);
    machine_.hit(kB, MW_OP_WRITE, map);
  }
  std::size_t overlaps() const { return machine_.events.size(); }

  Machine machine_;
};

TEST_F(MarkTest, MarkSetIsReportedAndHeldUntilItClears) {
  GoMap& map = machine_.new_map();
  share(map);
  machine_.hit(kA, MW_OP_DELETE, map);  // the last recorded writer
  map.set_mark(true);
  int turns = 0;
  machine_.hook = [&](const std::string& at) {
    if (at == "turn" && ++turns == 10) {
      map.set_mark(false);
    }
  };
  machine_.hit(kB, MW_OP_READ, map);
  ASSERT_EQ(overlaps(), 1u);
  const mw_access_event& event = machine_.events[0];
  EXPECT_EQ(event.evidence, MW_EVIDENCE_MARK);
  EXPECT_EQ(event.other_g, kA.g);
  EXPECT_EQ(event.other_pc, kA.caller_pc);
  EXPECT_EQ(event.other_op, MW_OP_DELETE);
  EXPECT_TRUE(event.flags & MW_ACCESS_OTHER_KNOWN);
  EXPECT_EQ(turns, 10);
  EXPECT_EQ(machine_.counters.holds, 1u);
}

// The mark of a map that only one goroutine uses is not read; a second goroutine's is, from its first operation on.
TEST_F(MarkTest, MarkIsReadAsSoonAsAnotherGoroutineCame) {
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  machine_.hit(kA, MW_OP_WRITE, map);
  machine_.hit(kB, MW_OP_WRITE, map);  // and B is inside its write now
  map.set_mark(true);
  machine_.hit(kA, MW_OP_WRITE, map);
  ASSERT_EQ(overlaps(), 1u);
  EXPECT_EQ(machine_.events[0].g, kA.g);
}

TEST_F(MarkTest, HoldEndsWhenTheMarkNeverClears) {
  GoMap& map = machine_.new_map();
  map.set_mark(true);
  machine_.hit(kB, MW_OP_READ, map);
  ASSERT_EQ(overlaps(), 1u);
  EXPECT_FALSE(machine_.events[0].flags & MW_ACCESS_OTHER_KNOWN);
  EXPECT_GE(machine_.counters.hold_ns, 200'000u);
  EXPECT_LT(machine_.counters.hold_ns, 210'000u);
}

// The first writer of a new map is known too: nothing but its own stack tells where it was called from.
TEST_F(MarkTest, FirstWriterIsNamedWhileItIsInside) {
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  map.set_mark(true);
  machine_.hit(kB, MW_OP_READ, map);
  ASSERT_EQ(overlaps(), 1u);
  EXPECT_EQ(machine_.events[0].other_g, kA.g);
  EXPECT_EQ(machine_.events[0].other_pc, kA.caller_pc);
  EXPECT_EQ(machine_.events[0].other_op, MW_OP_WRITE);
}

// Whatever tells that the stack may be in other use by now makes what was read of it void.
TEST_F(MarkTest, WriterThatMayHaveGoneOnIsNotBelieved) {
  const auto event_after = [](auto change) {
    Machine machine;
    machine.hold_all();
    GoMap& map = machine.new_map();
    machine.hit(kA, MW_OP_WRITE, map);
    map.set_mark(true);
    machine.hook = [&, done = false](const std::string& at) mutable {
      if (at == "caller_read" && !done) {
        done = true;
        change(machine, map);
      }
    };
    machine.hit(kB, MW_OP_READ, map);
    EXPECT_FALSE(machine.events.empty());
    return machine.events.empty() ? mw_access_event{} : machine.events.back();
  };
  EXPECT_EQ(event_after([](Machine&, GoMap&) {}).other_pc, kA.caller_pc);
  EXPECT_EQ(event_after([](Machine& machine, GoMap& map) {
              map.set_mark(false);
              machine.hit(kC, MW_OP_WRITE, map);
              map.set_mark(true);
            }).other_g,
            0u)
      << "another one writes now";
  EXPECT_EQ(event_after([](Machine& machine, GoMap& map) {
              map.set_mark(false);
              machine.hit(kA, MW_OP_WRITE, map);
              map.set_mark(true);
            }).other_g,
            0u)
      << "it writes again, from who knows where";
  const mw_access_event late = event_after([](Machine& machine, GoMap&) { machine.now += 30'000; });
  EXPECT_EQ(late.other_g, kA.g);
  EXPECT_EQ(late.other_pc, 0u) << "its stack may be another goroutine's by now";
}

TEST_F(MarkTest, WriterThatIsElsewhereIsUnknown) {
  GoMap& map = machine_.new_map();
  share(map);
  machine_.hit(kB, MW_OP_READ, machine_.new_map());
  map.set_mark(true);
  machine_.hit(kA, MW_OP_READ, map);
  ASSERT_EQ(overlaps(), 1u);
  EXPECT_EQ(machine_.events[0].other_g, 0u);
}

TEST_F(MarkTest, OneCpuNeitherDwellsNorHolds) {
  machine_.policies[100].flags = MW_POLICY_MARK_ONLY;
  GoMap& map = machine_.new_map();
  share(map);
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_EQ(machine_.counters.dwells, 0u);
  map.set_mark(true);
  machine_.hit(kB, MW_OP_WRITE, map);
  EXPECT_EQ(overlaps(), 1u);
  EXPECT_EQ(machine_.counters.holds, 0u);
}

}  // namespace
}  // namespace mapwatch::bpf_test
