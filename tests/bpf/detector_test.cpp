// The detector's decisions, one interleaving at a time.
#include <gtest/gtest.h>

#include "machine.h"

namespace mapwatch::bpf_test {
namespace {

const Goroutine kA{0xc000000010ull, 100, 101, 0x401000};
const Goroutine kB{0xc000000020ull, 100, 102, 0x402000};
const Goroutine kC{0xc000000030ull, 100, 103, 0x403000};

class DetectorTest : public testing::Test {
 protected:
  DetectorTest() { machine_.hold_all(); }

  /// Makes `map` a candidate: two goroutines have written it.
  void share(const GoMap& map) {
    machine_.hit(kA, MW_OP_WRITE, map);
    machine_.hit(kB, MW_OP_WRITE, map);
  }
  /// Runs `work` once, at the first hook of that name.
  void once_at(const std::string& point, std::function<void()> work) {
    machine_.hook = [point, work, done = false](const std::string& at) mutable {
      if (at == point && !done) {
        done = true;
        work();
      }
    };
  }
  std::size_t overlaps() const { return machine_.events.size(); }

  Machine machine_;
};

TEST_F(DetectorTest, TwoWritersMeet) {
  const GoMap& map = machine_.new_map();
  share(map);
  once_at("turn", [&] { machine_.hit(kB, MW_OP_WRITE, map); });
  machine_.hit(kA, MW_OP_WRITE, map);
  ASSERT_EQ(overlaps(), 2u);
  const mw_access_event& visitor = machine_.events[0];
  const mw_access_event& watcher = machine_.events[1];
  EXPECT_EQ(visitor.role, MW_ROLE_VISITOR);
  EXPECT_EQ(visitor.g, kB.g);
  EXPECT_EQ(visitor.other_g, kA.g);
  EXPECT_EQ(watcher.role, MW_ROLE_WATCHER);
  EXPECT_EQ(watcher.g, kA.g);
  EXPECT_EQ(visitor.slot, watcher.slot);
  EXPECT_EQ(visitor.generation, watcher.generation);
  EXPECT_EQ(watcher.goid, kA.g & 0xffff);
}

TEST_F(DetectorTest, StackHasTheCallerInItsPlace) {
  const GoMap& map = machine_.new_map();
  share(map);
  once_at("turn", [&] { machine_.hit(kB, MW_OP_WRITE, map); });
  machine_.hit(kA, MW_OP_WRITE, map);
  ASSERT_EQ(overlaps(), 2u);
  const mw_stack& stack = machine_.events[1].stack;
  ASSERT_EQ(stack.count, 3u);
  EXPECT_EQ(stack.pc[stack.first], 0x400100u);
  EXPECT_EQ(stack.pc[stack.first + 1], kA.caller_pc);
  EXPECT_EQ(stack.pc[stack.first + 2], 0x402000u);
  // The kernel's chain names B's caller by itself (kernels with cfa7f3d2c526): it is not put in twice.
  EXPECT_EQ(machine_.events[0].stack.count, 2u);
}

TEST_F(DetectorTest, WriterAndReaderMeet) {
  const GoMap& map = machine_.new_map();
  share(map);
  once_at("turn", [&] { machine_.hit(kB, MW_OP_READ, map); });
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_EQ(overlaps(), 2u);
}

TEST_F(DetectorTest, DeleteMeetsIteration) {
  const GoMap& map = machine_.new_map();
  share(map);
  once_at("turn", [&] { machine_.hit(kB, MW_OP_DELETE, map); });
  machine_.hit(kA, MW_OP_ITERATE, map);
  ASSERT_EQ(overlaps(), 2u);
  EXPECT_EQ(machine_.events[0].op, MW_OP_DELETE);
  EXPECT_EQ(machine_.events[1].op, MW_OP_ITERATE);
}

TEST_F(DetectorTest, ReadersDoNotMeet) {
  const GoMap& map = machine_.new_map();
  share(map);
  once_at("turn", [&] { machine_.hit(kB, MW_OP_READ, map); });
  machine_.hit(kC, MW_OP_READ, map);
  EXPECT_EQ(machine_.counters.dwells, 2u);  // share()'s second write, and this read
  EXPECT_EQ(overlaps(), 0u);
}

TEST_F(DetectorTest, OneGoroutineOnTwoThreadsIsOne) {
  const GoMap& map = machine_.new_map();
  share(map);
  Goroutine moved = kA;
  moved.tid = 199;
  once_at("turn", [&] { machine_.hit(moved, MW_OP_WRITE, map); });
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_EQ(overlaps(), 0u);
}

TEST_F(DetectorTest, ThirdGoroutineIsReportedToo) {
  const GoMap& map = machine_.new_map();
  share(map);
  once_at("turn", [&] {
    machine_.hit(kB, MW_OP_WRITE, map);
    machine_.hit(kC, MW_OP_WRITE, map);
  });
  machine_.hit(kA, MW_OP_WRITE, map);
  ASSERT_EQ(overlaps(), 3u);
  EXPECT_EQ(machine_.events[1].g, kC.g);
  EXPECT_EQ(machine_.events[1].generation, machine_.events[2].generation);
}

TEST_F(DetectorTest, EqualAddressesOfTwoProcessesDoNotMeet) {
  machine_.hold_all(200);
  const GoMap& map = machine_.new_map();
  share(map);
  const Goroutine other{kB.g, 200, 201, kB.caller_pc};
  once_at("turn", [&] { machine_.hit(other, MW_OP_WRITE, map); });
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_EQ(overlaps(), 0u);
}

// Two maps, or one address in two processes, that share a slot: the second neither meets the first's watch nor harms
// it.
TEST_F(DetectorTest, CollidingMapsDoNotMeet) {
  const GoMap& map = machine_.new_map();
  share(map);
  const Goroutine sameSlot{kB.g, 200, 201, kB.caller_pc};
  machine_.hold_all(200);
  once_at("turn", [&] {
    for (mw_slot& slot : machine_.slots) {
      if (slot.map == map.address) {
        slot.last_map = 0;  // as the other map's accesses leave it
      }
    }
    machine_.hit(sameSlot, MW_OP_WRITE, map);
  });
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_EQ(overlaps(), 0u);
}

TEST_F(DetectorTest, AMapWhoseSlotIsTakenIsCounted) {
  const GoMap& map = machine_.new_map();
  mw_u64 address = map.address + 64;
  while (mw_slot_index(kA.tgid, address) != mw_slot_index(kA.tgid, map.address)) {
    address += 64;
  }
  const GoMap& other = machine_.new_map(address);
  share(map);
  once_at("turn", [&] { share(other); });
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_EQ(overlaps(), 0u);
  EXPECT_EQ(machine_.counters.lost_slot, 1u);
}

TEST_F(DetectorTest, AReaderThatFindsAnotherOneLosesNothing) {
  const GoMap& map = machine_.new_map();
  share(map);
  mw_slot& slot = machine_.slots[mw_slot_index(kA.tgid, map.address)];
  const auto stands = [&] {
    slot.map = map.address;
    slot.g = kA.g;
    slot.tgid = kA.tgid;
    slot.meet = MW_MEET(7, 0, MW_OP_READ, MW_STANDING);
  };
  stands();
  machine_.hit(kC, MW_OP_READ, map);
  EXPECT_EQ(machine_.counters.lost_slot, 0u) << "it stands still";
  for (const int visit : {1, 2}) {
    stands();
    machine_.hook = [&, left = visit](const std::string& at) mutable {
      if (at == "visit_read_fields" && --left == 0) {
        slot.map = 0;
        slot.meet = MW_MEET(7, 0, 0, MW_DOWN);
      }
    };
    machine_.hit(kC, MW_OP_READ, map);
    EXPECT_EQ(machine_.counters.lost_slot, 0u) << "it goes at the " << visit << ". look";
  }
}

TEST_F(DetectorTest, NobodyMeetsAWatchThatIsDown) {
  const GoMap& map = machine_.new_map();
  share(map);
  machine_.hit(kA, MW_OP_WRITE, map);
  machine_.hit(kB, MW_OP_WRITE, map);
  EXPECT_EQ(overlaps(), 0u);
  for (const mw_slot& slot : machine_.slots) {
    EXPECT_NE(MW_MEET_STATE(slot.meet), static_cast<mw_u32>(MW_STANDING));
    EXPECT_NE(MW_MEET_STATE(slot.meet), static_cast<mw_u32>(MW_MET));
  }
}

// At each point of publishing and leaving, a visitor either meets the watch (then both sides say so) or does not
// (then neither does).
TEST_F(DetectorTest, BothSidesAgreeAtEveryPoint) {
  const std::pair<const char*, std::size_t> points[] = {{"publish_busy", 0}, {"publish_fields", 0}, {"publish_map", 0},
                                                        {"turn", 2},         {"left_fill", 2},      {"left_filled", 2}};
  for (const auto& [point, halves] : points) {
    Machine machine;
    machine.hold_all();
    const GoMap& map = machine.new_map();
    machine.hit(kA, MW_OP_WRITE, map);
    machine.hit(kB, MW_OP_WRITE, map);
    bool done = false;
    machine.hook = [&](const std::string& at) {
      if (at == point && !done) {
        done = true;
        machine.hit(kB, MW_OP_WRITE, map);
      }
    };
    machine.hit(kA, MW_OP_WRITE, map);
    EXPECT_TRUE(done) << point;
    EXPECT_EQ(machine.events.size(), halves) << point;
  }
}

// The owner takes its watch down and sets another one while a visitor is between its reads: the visit is void, and the
// new watch does not think that it was met.
TEST_F(DetectorTest, TornVisitIsVoid) {
  for (const char* point : {"visit_read_meet", "visit_read_fields"}) {
    Machine machine;
    machine.hold_all();
    const GoMap& map = machine.new_map();
    machine.hit(kA, MW_OP_WRITE, map);
    machine.hit(kB, MW_OP_WRITE, map);
    mw_slot* slot = nullptr;
    machine.hook = [&](const std::string& at) {
      if (at == "turn" && slot == nullptr) {
        for (mw_slot& each : machine.slots) {
          if (each.map == map.address) {
            slot = &each;
          }
        }
      }
    };
    machine.hit(kA, MW_OP_WRITE, map);
    ASSERT_NE(slot, nullptr);
    // A watch of A stands; B comes, and between its reads the watch becomes the next generation's, by B itself.
    slot->map = map.address;
    slot->g = kA.g;
    slot->tgid = kA.tgid;
    slot->meet = MW_MEET(50, 0, MW_OP_WRITE, MW_STANDING);
    bool turned = false;
    machine.hook = [&](const std::string& at) {
      if (at == point && !turned) {
        turned = true;
        slot->g = kB.g;
        slot->meet = MW_MEET(51, 0, MW_OP_WRITE, MW_STANDING);
      }
    };
    machine.hit(kB, MW_OP_WRITE, map);
    EXPECT_TRUE(turned);
    EXPECT_TRUE(machine.events.empty()) << point;
    EXPECT_EQ(slot->meet, MW_MEET(51, 0, MW_OP_WRITE, MW_STANDING)) << point;
  }
}

TEST_F(DetectorTest, GenerationWraps) {
  const GoMap& map = machine_.new_map();
  share(map);
  for (mw_slot& slot : machine_.slots) {
    slot.map = 0;
    slot.meet = MW_MEET(0xffffffffu, 0, 0, MW_DOWN);
  }
  once_at("turn", [&] { machine_.hit(kB, MW_OP_WRITE, map); });
  machine_.hit(kA, MW_OP_WRITE, map);
  ASSERT_EQ(overlaps(), 2u);
  EXPECT_EQ(machine_.events[0].generation, 0u);
  EXPECT_EQ(machine_.events[1].generation, 0u);
}

TEST_F(DetectorTest, StackCheckThatGrowsIsNotCounted) {
  const GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map, MW_SITE_JCC, 0x1);   // CF
  machine_.hit(kA, MW_OP_WRITE, map, MW_SITE_JCC, 0x40);  // ZF
  EXPECT_EQ(machine_.counters.hits, 0u);
  machine_.hit(kA, MW_OP_WRITE, map, MW_SITE_JCC, 0x0);
  EXPECT_EQ(machine_.counters.hits, 1u);
  EXPECT_EQ(machine_.counters.ignored, 2u);
}

// A trap is paid for whether the operation counts or not; each process has its own counters.
TEST_F(DetectorTest, EachProcessIsChargedForItsOwn) {
  const GoMap& map = machine_.new_map();
  const GoMap& other_map = machine_.new_map();
  mw_policy policy = machine_.policies[100];
  policy.slot = 5;
  machine_.allow(200, policy);
  const Goroutine other{0xc000000040ull, 200, 201, 0x404000};
  share(map);
  once_at("turn", [&] { machine_.hit(kB, MW_OP_WRITE, map); });
  machine_.hit(kA, MW_OP_WRITE, map);
  machine_.hit(other, MW_OP_WRITE, other_map);
  machine_.hit(other, MW_OP_WRITE, other_map, MW_SITE_JCC, 0x40);
  machine_.hit(other, MW_OP_READ, GoMap{0});
  const mw_target_counts& mine = machine_.targets[0];
  EXPECT_EQ(mine.hits, 4u);
  EXPECT_EQ(mine.overlaps, 2u);
  EXPECT_EQ(mine.held_ns, machine_.counters.dwell_ns + machine_.counters.hold_ns);
  EXPECT_GT(machine_.counters.hold_ns, 0u);
  EXPECT_EQ(machine_.targets[5].hits, 3u);
  EXPECT_EQ(machine_.targets[5].held_ns, 0u);
  EXPECT_EQ(machine_.counters.hits, 5u);
}

TEST_F(DetectorTest, UnwatchedProcessesAndNilMapsAreIgnored) {
  const GoMap& map = machine_.new_map();
  machine_.hit({kA.g, 300, 301, 0}, MW_OP_WRITE, map);
  machine_.hit(kA, MW_OP_READ, GoMap{0});
  EXPECT_EQ(machine_.counters.hits, 0u);
  EXPECT_EQ(machine_.counters.ignored, 2u);
}

TEST_F(DetectorTest, FullRingIsCounted) {
  const GoMap& map = machine_.new_map();
  share(map);
  machine_.ring_full = true;
  once_at("turn", [&] { machine_.hit(kB, MW_OP_WRITE, map); });
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_EQ(machine_.counters.lost_ring, 2u);
  EXPECT_EQ(machine_.counters.overlaps, 2u);
}

TEST_F(DetectorTest, OneGoroutinesMapNeverDwells) {
  const GoMap& map = machine_.new_map();
  for (int i = 0; i < 1000; ++i) {
    machine_.hit(kA, MW_OP_WRITE, map);
  }
  EXPECT_EQ(machine_.counters.candidates, 0u);
}

// Ownership transfer: A made it, B has it now. The attention it gets ends.
TEST_F(DetectorTest, HandedOverMapCoolsDown) {
  const GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  for (int i = 0; i < 1000; ++i) {
    machine_.hit(kB, MW_OP_WRITE, map);
  }
  EXPECT_LE(machine_.counters.candidates, 257u);
}

// A slot whose address is used by a new map (GC address reuse) remembers nothing that could make a report.
TEST_F(DetectorTest, ReusedAddressMakesNoReport) {
  GoMap& map = machine_.new_map();
  share(map);
  map.header = {};
  machine_.hit(kC, MW_OP_WRITE, map);
  machine_.hit(kC, MW_OP_WRITE, map);
  EXPECT_EQ(overlaps(), 0u);
}

}  // namespace
}  // namespace mapwatch::bpf_test
