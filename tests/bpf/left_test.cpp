// Watches that are left standing: met while their thread stands at its probe, and only then.
#include <gtest/gtest.h>

#include "machine.h"

namespace mapwatch::bpf_test {
namespace {

constexpr mw_u64 kElsewhere = 0x455555;
const Goroutine kA{0xc000000010ull, 100, 101, 0x401000};
const Goroutine kB{0xc000000020ull, 100, 102, 0x402000};

class LeftTest : public testing::Test {
 protected:
  LeftTest() { machine_.hold_all(); }

  /// Two goroutines have written the map, and A comes to it once more, is held, and leaves its watch.
  const GoMap& left_by_a(mw_op op = MW_OP_WRITE) {
    const GoMap& map = machine_.new_map();
    machine_.hit(kB, MW_OP_WRITE, map);
    machine_.hit(kA, op, map);
    return map;
  }
  std::vector<mw_access_event> after_b_comes(const GoMap& map, mw_op op = MW_OP_WRITE) {
    machine_.events.clear();
    machine_.hit(kB, op, map);
    return machine_.events;
  }
  mw_slot& slot_of(const GoMap& map) { return machine_.slots[mw_slot_index(kA.tgid, map.address)]; }

  Machine machine_;
};

TEST_F(LeftTest, WhoStandsAtItsProbeIsMet) {
  const GoMap& map = left_by_a();
  machine_.preempt(kA);
  const auto events = after_b_comes(map);
  ASSERT_EQ(events.size(), 2u);
  const mw_access_event& watcher = events[0];
  const mw_access_event& visitor = events[1];
  EXPECT_EQ(watcher.role, MW_ROLE_WATCHER);
  EXPECT_EQ(watcher.evidence, MW_EVIDENCE_WATCH);
  EXPECT_EQ(watcher.g, kA.g);
  EXPECT_EQ(watcher.goid, kA.g & 0xffff);
  EXPECT_EQ(watcher.head.tid, kA.tid);
  EXPECT_EQ(watcher.op, MW_OP_WRITE);
  EXPECT_EQ(watcher.map, map.address);
  EXPECT_GT(watcher.watch_ns, 0u);
  EXPECT_LT(watcher.watch_ns, watcher.head.time_ns);
  EXPECT_EQ(visitor.role, MW_ROLE_VISITOR);
  EXPECT_EQ(visitor.g, kB.g);
  EXPECT_EQ(visitor.other_g, kA.g);
  EXPECT_EQ(visitor.slot, watcher.slot);
  EXPECT_EQ(visitor.generation, watcher.generation);
  ASSERT_GE(watcher.stack.count, 2u);
  EXPECT_EQ(watcher.stack.pc[watcher.stack.first + 1], kA.caller_pc);
}

TEST_F(LeftTest, ItIsMetByEachWhoComesWhileItStands) {
  const GoMap& map = left_by_a();
  machine_.preempt(kA);
  EXPECT_EQ(after_b_comes(map).size(), 2u);
  const Goroutine c{0xc000000030ull, 100, 103, 0x403000};
  machine_.events.clear();
  machine_.hit(c, MW_OP_READ, map);
  EXPECT_EQ(machine_.events.size(), 2u);
  machine_.run(kA);
  EXPECT_EQ(after_b_comes(map).size(), 0u);
}

TEST_F(LeftTest, WhoRunsIsNot) {
  const GoMap& map = left_by_a();
  const mw_u32 generation = MW_MEET_GEN(slot_of(map).meet);
  EXPECT_EQ(after_b_comes(map).size(), 0u);
  EXPECT_NE(MW_MEET_GEN(slot_of(map).meet), generation) << "B took it down, and had its own turn";
}

TEST_F(LeftTest, WhoWentOnAndWasTakenOffElsewhereIsNot) {
  const GoMap& map = left_by_a();
  machine_.take_off(kA, kElsewhere);
  EXPECT_EQ(after_b_comes(map).size(), 0u);
}

// The same place, but another goroutine on that thread, or another map.
TEST_F(LeftTest, WhoStandsThereForAnotherMapOrAsAnotherGoroutineIsNot) {
  const GoMap& map = left_by_a();
  machine_.preempt(kA);
  const pt_regs stood = machine_.threads[kA.tid].regs;
  machine_.threads[kA.tid].regs.bx += 64;
  EXPECT_EQ(after_b_comes(map).size(), 0u);
  const GoMap& again = left_by_a();
  machine_.preempt(kA);
  machine_.threads[kA.tid].regs.r14 = kB.g;
  EXPECT_EQ(after_b_comes(again).size(), 0u);
  EXPECT_EQ(stood.r14, kA.g);
}

// An operation beyond the limit is not looked at, so the watch stays: it must not be told with that one's frame.
TEST_F(LeftTest, WhoStandsThereInAnotherFrameIsNot) {
  for (const auto change : {+[](pt_regs& regs) { regs.sp -= 64; }, +[](pt_regs& regs) { regs.bp += 64; }}) {
    const GoMap& map = left_by_a();
    machine_.preempt(kA);
    change(machine_.threads[kA.tid].regs);
    EXPECT_EQ(after_b_comes(map).size(), 0u);
  }
}

// Maps that are iterated over one after the other, by one iterator on the stack: at the second one it stands at the
// same place with the same registers, and the first map's watch is still in its slot.
TEST_F(LeftTest, WhoseIteratorIsAnotherMapsByNowIsNot) {
  constexpr mw_u64 kIterator = 0xc000200000ull;
  for (const bool other : {false, true}) {
    const GoMap& map = machine_.new_map();
    machine_.hit(kB, MW_OP_WRITE, map);
    machine_.words[kIterator + machine_.layout.iter_map] = map.address;
    machine_.iterate(kA, kIterator);
    machine_.preempt(kA);
    machine_.words[kIterator + machine_.layout.iter_map] = map.address + (other ? 0x1000 : 0);
    EXPECT_EQ(after_b_comes(map).size(), other ? 0u : 2u);
  }
}

TEST_F(LeftTest, ItsThreadRunsWhileOneLooks) {
  const std::pair<const char*, std::function<void(Machine&)>> changes[] = {
      {"left_looked", [](Machine& m) { m.run(kA); }},
      {"left_read", [](Machine& m) { m.run(kA); }},
      {"left_looked", [](Machine& m) { m.take_off(kA, 0x400101); }},  // it came by and stands there again
      {"left_read", [](Machine& m) { m.take_off(kA, kElsewhere); }},
      {"left_read", [](Machine& m) { m.threads[kA.tid].state.tid = 999; }},  // its memory is another thread's
  };
  for (const auto& [point, change] : changes) {
    const GoMap& map = left_by_a();
    machine_.preempt(kA);
    machine_.hook = [&, done = false](const std::string& at) mutable {
      if (at == point && !done) {
        done = true;
        change(machine_);
      }
    };
    EXPECT_EQ(after_b_comes(map).size(), 0u) << point;
    machine_.hook = nullptr;
    machine_.threads.erase(kA.tid);
  }
}

// Two slots share a note: the later one has it, and what was read of it before tells nothing.
TEST_F(LeftTest, ANoteThatIsWrittenAnewTellsNothing) {
  for (const char* point : {"left_looked", "left_read", "left_told"}) {
    const GoMap& map = left_by_a();
    machine_.preempt(kA);
    mw_left& note = machine_.lefts[mw_slot_index(kA.tgid, map.address) & (MW_LEFTS - 1)];
    machine_.hook = [&, done = false](const std::string& at) mutable {
      if (at == point && !done) {
        done = true;
        note.slot ^= MW_LEFTS;
      }
    };
    EXPECT_EQ(after_b_comes(map).size(), 0u) << point;
    EXPECT_EQ(machine_.counters.overlaps, 0u);
    machine_.hook = nullptr;
  }
}

TEST_F(LeftTest, AThreadThatIsGoneIsNot) {
  const GoMap& map = left_by_a();
  machine_.preempt(kA);
  machine_.threads.erase(kA.tid);
  EXPECT_EQ(after_b_comes(map).size(), 0u);
}

TEST_F(LeftTest, TwoReadersAreNoOverlap) {
  const GoMap& map = left_by_a(MW_OP_READ);
  machine_.preempt(kA);
  EXPECT_EQ(after_b_comes(map, MW_OP_READ).size(), 0u);
  EXPECT_EQ(machine_.counters.lost_slot, 0u);
  EXPECT_EQ(after_b_comes(map, MW_OP_WRITE).size(), 2u);
}

TEST_F(LeftTest, WhoComesBackTakesItsOwnDownAndIsHeldAgain) {
  const GoMap& map = left_by_a();
  const mw_u64 before = machine_.counters.dwells;
  const mw_u32 generation = MW_MEET_GEN(slot_of(map).meet);
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_EQ(machine_.events.size(), 0u);
  EXPECT_EQ(machine_.counters.dwells, before + 1);
  EXPECT_EQ(MW_MEET_GEN(slot_of(map).meet), generation + 1);
}

TEST_F(LeftTest, AnotherMapsSlotIsFreeOnceItsThreadWentOn) {
  for (const bool stands : {false, true}) {
    Machine machine;
    machine.hold_all();
    const GoMap& map = machine.new_map();
    mw_u64 address = map.address + 64;
    while (mw_slot_index(kA.tgid, address) != mw_slot_index(kA.tgid, map.address)) {
      address += 64;
    }
    const GoMap& other = machine.new_map(address);
    machine.hit(kB, MW_OP_WRITE, map);
    machine.hit(kA, MW_OP_WRITE, map);
    if (stands) {
      machine.preempt(kA);
    }
    const Goroutine c{0xc000000030ull, 100, 103, 0x403000};
    machine.hit(kB, MW_OP_WRITE, other);
    machine.hit(c, MW_OP_WRITE, other);
    EXPECT_EQ(machine.counters.lost_slot, stands ? 1u : 0u);
    EXPECT_EQ(machine.slots[mw_slot_index(kA.tgid, address)].map, stands ? map.address : other.address);
  }
}

TEST_F(LeftTest, ADwellEndsWhenSomebodyComesToWaitForItsCpu) {
  const GoMap& map = machine_.new_map();
  machine_.hit(kB, MW_OP_WRITE, map);
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_GT(machine_.counters.dwell_ns, 45'000u);
  machine_.counters.dwell_ns = 0;
  int turns = 0;
  machine_.hook = [&](const std::string& at) {
    if (at == "turn" && ++turns == 10) {
      machine_.queue_length = 2;
    }
  };
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_LT(machine_.counters.dwell_ns, 2'000u);
  machine_.hook = nullptr;
  machine_.counters.dwell_ns = 0;
  machine_.hit(kA, MW_OP_WRITE, map);  // two wait all the time: nobody new
  EXPECT_GT(machine_.counters.dwell_ns, 45'000u);
}

TEST_F(LeftTest, AtACallItStandsBeforeOrBehindTheJump) {
  constexpr mw_u64 kProbe = 0x400100;
  constexpr mw_u32 kDisplacement = 0x5000;
  machine_.resident[kProbe + 1] = std::string(reinterpret_cast<const char*>(&kDisplacement), sizeof(kDisplacement));
  for (const auto& [ip, met] : {std::pair{kProbe, 2u}, {kProbe + 5 + kDisplacement, 2u}, {kProbe + 5, 0u}}) {
    const GoMap& map = machine_.new_map();
    machine_.hit(kB, MW_OP_WRITE, map, MW_SITE_CALL);
    machine_.hit(kA, MW_OP_WRITE, map, MW_SITE_CALL);
    machine_.take_off(kA, ip);
    machine_.words[Machine::stack_of(kA) - 8] = kProbe + 5;  // what the call pushed
    machine_.events.clear();
    machine_.hit(kB, MW_OP_WRITE, map, MW_SITE_CALL);
    EXPECT_EQ(machine_.events.size(), met) << std::hex << ip;
  }
}

TEST_F(LeftTest, AnotherCallOfTheSameFunctionIsNot) {
  constexpr mw_u64 kProbe = 0x400100;
  constexpr mw_u32 kDisplacement = 0x5000;
  machine_.resident[kProbe + 1] = std::string(reinterpret_cast<const char*>(&kDisplacement), sizeof(kDisplacement));
  const GoMap& map = machine_.new_map();
  machine_.hit(kB, MW_OP_WRITE, map, MW_SITE_CALL);
  machine_.hit(kA, MW_OP_WRITE, map, MW_SITE_CALL);
  machine_.take_off(kA, kProbe + 5 + kDisplacement);
  machine_.words[Machine::stack_of(kA) - 8] = kProbe + 0x40;
  machine_.events.clear();
  machine_.hit(kB, MW_OP_WRITE, map, MW_SITE_CALL);
  EXPECT_EQ(machine_.events.size(), 0u);
}

}  // namespace
}  // namespace mapwatch::bpf_test
