// Which map a crash is about: the goroutine's own last operation, and only if it crashes in that operation's frame.
#include <gtest/gtest.h>

#include "machine.h"

namespace mapwatch::bpf_test {
namespace {

const Goroutine kA{0xc000000010ull, 100, 101, 0x401000};
const Goroutine kB{0xc000000020ull, 100, 102, 0x402000};

class CrashTest : public testing::Test {
 protected:
  CrashTest() { machine_.hold_all(); }
  const mw_fatal_event& crash(const Goroutine& goroutine, mw_u64 frame) {
    machine_.fatal(goroutine, frame);
    return machine_.fatals.back();
  }

  Machine machine_;
};

TEST_F(CrashTest, TellsTheMapOfTheOperationThatCrashes) {
  GoMap& mine = machine_.new_map();
  GoMap& other = machine_.new_map();
  mine.header[0] = 5;
  machine_.hit(kA, MW_OP_WRITE, other);
  machine_.hit(kA, MW_OP_WRITE, mine);
  machine_.hit(kB, MW_OP_WRITE, other);
  const mw_fatal_event& event = crash(kA, Machine::frame_of(kA));
  EXPECT_EQ(event.last_map, mine.address);
  EXPECT_EQ(event.last_type, 0x500000u);
  EXPECT_EQ(event.last_len, 5u);
}

TEST_F(CrashTest, TellsItThroughTheFrameOfMapsFatal) {
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_READ, map);
  const mw_u64 inner = Machine::frame_of(kA) - 0x100;
  machine_.words[inner] = Machine::frame_of(kA);
  EXPECT_EQ(crash(kA, inner).last_map, map.address);
}

TEST_F(CrashTest, AsksTheIteratorForTheType) {
  GoMap& map = machine_.new_map();
  const mw_u64 iterator = 0xc000200000ull;
  machine_.words[iterator + machine_.layout.iter_map] = map.address;
  machine_.words[iterator + machine_.layout.iter_type] = 0x500040;
  machine_.iterate(kA, iterator);
  EXPECT_EQ(crash(kA, Machine::frame_of(kA)).last_map, map.address);
  EXPECT_EQ(machine_.fatals.back().last_type, 0x500040u);
}

// A goroutine that went on to an operation that no probe saw must not be tied to its last seen one.
TEST_F(CrashTest, TellsNoMapOfAnotherFrame) {
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  const mw_fatal_event& event = crash(kA, Machine::frame_of(kA) - 0x100);
  EXPECT_EQ(event.last_map, 0u);
  EXPECT_EQ(event.last_type, 0u);
  EXPECT_EQ(event.last_len, 0u);
}

TEST_F(CrashTest, TellsNoMapOfAnotherProcess) {
  Goroutine twin = kA;
  twin.tgid = 200;
  machine_.hold_all(200);
  machine_.hit(twin, MW_OP_WRITE, machine_.new_map());
  EXPECT_EQ(crash(kA, Machine::frame_of(kA)).last_map, 0u);
  EXPECT_EQ(crash(twin, Machine::frame_of(twin)).last_map, machine_.maps.begin()->first);
}

TEST_F(CrashTest, TellsWhoElseWroteTheMapLast) {
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_DELETE, map);
  machine_.hit(kB, MW_OP_WRITE, map);
  const mw_fatal_event& second = crash(kB, Machine::frame_of(kB));
  EXPECT_EQ(second.other_g, kA.g) << "the last writer is the one that crashes: the one before it";
  EXPECT_EQ(second.other_goid, kA.g & 0xffff);
  EXPECT_EQ(second.other_op, MW_OP_DELETE);
  EXPECT_EQ(second.other_pc, kA.caller_pc);
  const mw_fatal_event& first = crash(kA, Machine::frame_of(kA));
  EXPECT_EQ(first.other_g, kB.g);
  machine_.hit(kA, MW_OP_READ, machine_.new_map());
  EXPECT_EQ(crash(kB, Machine::frame_of(kB)).other_pc, 0u) << "it went on to another map";
}

TEST_F(CrashTest, ReaderIsNotTheOtherSide) {
  GoMap& map = machine_.new_map();
  machine_.hit(kB, MW_OP_READ, map);
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_EQ(crash(kA, Machine::frame_of(kA)).other_g, 0u);
  EXPECT_EQ(crash(kB, Machine::frame_of(kB)).other_g, kA.g);
}

// The clock is read for candidates and overlaps only; what it read is kept with the operation it belongs to.
TEST_F(CrashTest, NotesWhenAnOperationBeganWhereTheClockWasReadAnyway) {
  const auto doing = [&](const Goroutine& goroutine) {
    return machine_.doings[mw_doing_index(goroutine.tgid, goroutine.g)];
  };
  const auto timed = [&](const Goroutine& goroutine) {
    return MW_NOTE_HITS(doing(goroutine).timed) == MW_NOTE_HITS(doing(goroutine).note);
  };
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  EXPECT_FALSE(timed(kA)) << "nobody else's map: no clock";
  EXPECT_EQ(doing(kA).time_ns, 0u);
  const mw_u64 before = machine_.now;
  machine_.hit(kB, MW_OP_WRITE, map);
  EXPECT_TRUE(timed(kB));
  const mw_u64 noted = doing(kB).time_ns;
  EXPECT_GT(noted, before);
  EXPECT_LT(noted, machine_.now);
  machine_.hit(kB, MW_OP_WRITE, machine_.new_map());
  EXPECT_FALSE(timed(kB)) << "the time is of the operation before";
  EXPECT_EQ(doing(kB).time_ns, noted);
}

TEST_F(CrashTest, NotesWhenAMarkWasSeen) {
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  map.set_mark(true);
  const mw_u64 before = machine_.now;
  machine_.hit(kB, MW_OP_READ, map);
  const mw_doing& doing = machine_.doings[mw_doing_index(kB.tgid, kB.g)];
  EXPECT_GT(doing.time_ns, before);
  EXPECT_LT(doing.time_ns, machine_.now);
  EXPECT_EQ(MW_NOTE_HITS(doing.timed), MW_NOTE_HITS(doing.note));
}

TEST_F(CrashTest, ATimeIsNotPutIntoAnEntryThatWasTakenOver) {
  GoMap& map = machine_.new_map();
  machine_.hit(kA, MW_OP_WRITE, map);
  mw_doing& entry = machine_.doings[mw_doing_index(kB.tgid, kB.g)];
  machine_.hook = [&](const std::string& point) {
    if (point == "time_doing") {
      entry.g = 0xc000000999ull;
      entry.time_ns = 7;
    }
  };
  machine_.hit(kB, MW_OP_WRITE, map);
  EXPECT_EQ(entry.time_ns, 7u);
}

TEST_F(CrashTest, EntryTakenOverTellsNoMap) {
  machine_.hit(kA, MW_OP_WRITE, machine_.new_map());
  for (mw_doing& doing : machine_.doings) {
    doing.g = doing.g ? kB.g : 0;
  }
  EXPECT_EQ(crash(kA, Machine::frame_of(kA)).last_map, 0u);
}

}  // namespace
}  // namespace mapwatch::bpf_test
