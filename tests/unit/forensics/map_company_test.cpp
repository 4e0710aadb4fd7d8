// Who is on a map and who holds it, by the memory of a made-up process. Real crashes: tests/e2e holders/*.
#include <gtest/gtest.h>

#include <random>

#include "forensics/crash_map.h"
#include "forensics/map_holders.h"
#include "forensics/map_operations.h"
#include "forensics/map_world.h"
#include "forensics/map_writers.h"

namespace mapwatch::forensics {
namespace {

constexpr std::uint64_t kMap = 0xc000111110;
constexpr std::uint64_t kOtherMap = 0xc000222220;

class MapCompany : public MapWriters {
 protected:
  MapUse use() {
    take();
    return map_use(kMap, copy_, all_, process(), tables_);
  }
  MapHolders holders(const std::optional<WordPlaces>& variables = WordPlaces{}) {
    take();
    return map_holders(kMap, copy_, all_, process(), variables);
  }
  mw_doing doing(std::uint64_t g, std::uint64_t map, std::uint64_t cfa) const {
    mw_doing one = {};
    one.g = g;
    one.map = map;
    one.sp = cfa - 8;
    one.note = 7 * MW_NOTE_HIT | MW_OP_WRITE << 4;
    one.timed = one.note;
    one.time_ns = 12345;
    return one;
  }

  AccessTables tables_;
};

TEST_F(MapCompany, ACallsArgumentsProveWhichMapItIsOn) {
  writer(9, proven_, kMap);
  writer(10, proven_, kOtherMap);
  const MapUse found = use();
  ASSERT_EQ(found.inside.size(), 1U);
  const MapOperation& one = found.inside[0];
  EXPECT_EQ(all_.list[one.goroutine].id, 9U);
  EXPECT_EQ(one.op, MW_OP_WRITE);
  EXPECT_EQ(one.evidence, OperationEvidence::kArguments);
  EXPECT_EQ(one.began_ns, 0U);
  EXPECT_TRUE(found.accesses.empty());
}

TEST_F(MapCompany, ASlotThatNoCodeProvesIsNotCertainAndComesLast) {
  writer(9, unproven_, kMap);
  writer(10, proven_, kMap);
  const MapUse found = use();
  ASSERT_EQ(found.inside.size(), 2U);
  EXPECT_EQ(all_.list[found.inside[0].goroutine].id, 10U);
  EXPECT_EQ(found.inside[1].evidence, OperationEvidence::kSlot);
}

TEST_F(MapCompany, AProbeThatSawTheCallTellsItAndWhen) {
  const std::uint64_t g = writer(9, unproven_, kOtherMap);
  tables_.doings = {doing(g, kMap, frame(0, 0).cfa)};
  MapUse found = use();
  ASSERT_EQ(found.inside.size(), 1U);
  EXPECT_EQ(found.inside[0].evidence, OperationEvidence::kProbe);
  EXPECT_EQ(found.inside[0].began_ns, 12345U);
  EXPECT_TRUE(found.accesses.empty()) << "it is not told twice";

  tables_.doings[0].timed -= MW_NOTE_HIT;
  EXPECT_EQ(use().inside.at(0).began_ns, 0U) << "the time is of the operation before";
  tables_.doings[0].map = kOtherMap;
  EXPECT_TRUE(use().inside.empty());
}

TEST_F(MapCompany, WhoeverLeftTheFrameOfItsLastOperationIsNotInside) {
  const std::uint64_t g = add_goroutine(9, kWaiting, {inside("runtime.gopark"), main_, exit_});
  tables_.doings = {doing(g, kMap, kStacks + 0x80)};
  mw_slot slot = {};
  slot.last_map = kMap;
  slot.last_g = MW_LAST(g, 3, 9);
  slot.lastw_g = g;
  slot.prevw_g = 0xc000999990;  // of a goroutine that is no more
  tables_.slot = slot;
  const MapUse found = use();
  EXPECT_TRUE(found.inside.empty());
  ASSERT_EQ(found.accesses.size(), 2U);
  EXPECT_EQ(found.accesses[0].goid, 9U);
  EXPECT_EQ(found.accesses[0].op, MW_OP_WRITE);
  EXPECT_EQ(found.accesses[0].began_ns, 12345U);
  EXPECT_TRUE(found.accesses[0].last);
  EXPECT_TRUE(found.accesses[0].last_writer);
  EXPECT_EQ(found.accesses[1].goid, 0U);
  EXPECT_EQ(found.accesses[1].op, MW_OP_NONE);
  EXPECT_TRUE(found.accesses[1].previous_writer);

  tables_.slot->last_map = kOtherMap;
  EXPECT_EQ(use().accesses.size(), 1U) << "the slot is another map's";
}

TEST_F(MapCompany, DeferredCallsOfAPanicAreNoPartOfTheOperation) {
  const std::uint64_t park = inside("runtime.gopark");
  add_goroutine(9, kWaiting, {park, inside("runtime.gopanic"), proven_, main_, exit_});
  add_goroutine(10, kWaiting, {park, main_, proven_, main_, exit_});
  add_goroutine(11, kWaiting, {park, proven_, main_, exit_});
  take();
  put(frame(0, 2).cfa + 8, kMap);
  put(frame(1, 2).cfa + 8, kMap);
  put(frame(2, 1).cfa + 8, kMap);
  const MapUse found = use();
  ASSERT_EQ(found.inside.size(), 1U);
  EXPECT_EQ(all_.list[found.inside[0].goroutine].id, 11U) << "it waits within the operation, for memory perhaps";
}

TEST_F(MapCompany, ARunningThreadsRegistersProveItToo) {
  const std::uint64_t machine = add_machine(77);
  const std::uint64_t g_address = add_goroutine(9, kRunning, {unproven_, main_, exit_});
  put(g_address + g().m, machine);
  const std::uint64_t entry = binary().find(kAssign)->entry;
  const std::uint64_t sp = kStacks + 0x100;
  put(sp, main_);
  ThreadRegisters at{entry, sp, 0};
  at.general[arch::kRbx] = kMap;
  registers_ = {{77, at}};
  const MapUse found = use();
  ASSERT_EQ(found.inside.size(), 1U);
  EXPECT_EQ(found.inside[0].evidence, OperationEvidence::kArguments);
  registers_.at(77).general[arch::kRbx] = kOtherMap;
  EXPECT_TRUE(use().inside.empty());
}

TEST_F(MapCompany, WordsOfStacksAreHeldByTheirFrames) {
  writer(9, proven_, kMap);
  const std::uint64_t sp = kStacks + 0x100;
  const std::uint64_t first = frame(0, 0).cfa;
  put(sp - 8, kMap);      // left from an earlier call
  put(sp, kMap);          // the innermost frame's own
  put(first + 16, kMap);  // its caller's, and where the callee may keep its third word of arguments
  put(first + 24, kMap);  // its caller's alone
  put(first - 8, main_);
  const MapHolders found = holders();
  EXPECT_EQ(found.stacks_total, 4U);
  EXPECT_EQ(found.goroutines_total, 1U);
  ASSERT_EQ(found.stacks.size(), 4U);
  EXPECT_EQ(found.stacks[0].frame, 0U);
  EXPECT_EQ(found.stacks[0].sp_offset, 0U);
  EXPECT_FALSE(found.stacks[0].argument_of_callee);
  EXPECT_EQ(found.stacks[1].frame, 1U);
  EXPECT_EQ(found.stacks[1].sp_offset, 8U);
  EXPECT_EQ(found.stacks[1].argument_of_callee, 1U);
  EXPECT_EQ(found.stacks[2].argument_of_callee, 2U);
  EXPECT_EQ(found.stacks[3].address, first + 24);
  EXPECT_FALSE(found.stacks[3].argument_of_callee);
  EXPECT_TRUE(found.partial.empty());
}

TEST_F(MapCompany, RegistersAndWhoRunsOnThem) {
  const std::uint64_t machine = add_machine(77);
  const std::uint64_t g_address = add_goroutine(9, kRunning, {main_, exit_});
  put(g_address + g().m, machine);
  ThreadRegisters at{main_, kStacks + 0x100, 0};
  at.general[arch::kRdx] = kMap;
  ThreadRegisters idle;
  idle.general[arch::kR12] = kMap;
  registers_ = {{77, at}, {78, idle}};
  const MapHolders found = holders();
  ASSERT_EQ(found.registers.size(), 2U);
  EXPECT_EQ(found.registers[0].thread, 77U);
  EXPECT_EQ(found.registers[0].reg, static_cast<std::size_t>(arch::kRdx));
  ASSERT_TRUE(found.registers[0].goroutine);
  EXPECT_EQ(all_.list[*found.registers[0].goroutine].id, 9U);
  EXPECT_FALSE(found.registers[1].goroutine);
}

TEST_F(MapCompany, VariablesHaveNamesWhereTheProgramHasThem) {
  add_goroutine(9, kWaiting, {main_, exit_});
  const std::uint64_t allgs = process().globals.allgs;
  const auto ranges = variable_memory(process());
  ASSERT_FALSE(ranges.empty());
  SnapshotMemory variables;
  for (const elf::AddressRange& range : ranges) {
    variables.add(range.begin, std::vector<std::uint8_t>(range.end - range.begin));
  }
  variables.put(allgs + 16, kMap);
  const BoundedMemory bounded(variables, clock_, UINT64_MAX);
  const WordPlaces places = find_word(bounded, ranges, kMap);
  EXPECT_EQ(places.addresses, (std::vector<std::uint64_t>{allgs + 16}));
  const MapHolders found = holders(places);
  ASSERT_EQ(found.variables.size(), 1U);
  EXPECT_EQ(found.variables[0].variable.name, "runtime.allgs");
  EXPECT_EQ(found.variables[0].variable.offset, 16U);
  EXPECT_FALSE(found.variables[0].variable.section.empty());
}

TEST_F(MapCompany, WhatWasNotSearchedIsSaid) {
  const std::uint64_t g_address = add_goroutine(9, kWaiting, {main_, exit_});
  put(g_address + g().sched, 0x1234);  // its stack cannot be found
  EXPECT_EQ(holders().partial, (std::vector<std::string>{"the stacks of 1 goroutines, or parts of them"}));
  EXPECT_EQ(holders(std::nullopt).partial.back(), "the program's variables");
  WordPlaces cut;
  cut.partial = "the time for searching was over";
  cut.bytes_searched = 4096;
  EXPECT_EQ(holders(cut).partial.back(), "the program's variables: the time for searching was over after 4 KiB");
}

TEST_F(MapCompany, MemoryThatLiesIsBoundedAndHarmless) {
  writer(9, proven_, kMap);
  writer(10, unproven_, kMap);
  std::mt19937_64 random(11);
  const auto any = [&]() -> std::uint64_t {
    switch (random() % 4) {
      case 0:
        return kMap;
      case 1:
        return kStacks + random() % 0x20000;
      case 2:
        return binary().find(kAssign)->entry + random() % 0x400;
      default:
        return random();
    }
  };
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 40; ++i) {
      put(kStacks + random() % 2 * 0x10000 + 0x100 + random() % 0x300, any());
    }
    tables_.doings.clear();
    for (int i = 0; i < 20; ++i) {
      mw_doing one = doing(kGs + 0x1000 * (random() % 3), any(), any());
      one.note = static_cast<std::uint32_t>(random());
      tables_.doings.push_back(one);
    }
    mw_slot slot = {};
    slot.last_map = kMap;
    slot.last_g = random();
    slot.lastw_g = any();
    tables_.slot = slot;
    const MapUse found = use();
    EXPECT_LE(found.inside.size(), 2U);
    (void)holders();
  }
}

/// The process's memory, and behind it that of a world of types and maps.
class Both final : public Memory {
 public:
  Both(const Memory& one, const Memory& other) : one_(one), other_(other) {}
  bool read(std::uint64_t address, std::span<std::uint8_t> out) const override {
    return one_.read(address, out) || other_.read(address, out);
  }
  std::span<const Mapping> mappings() const override { return {}; }

 private:
  const Memory& one_;
  const Memory& other_;
};

class CrashMapTest : public MapCompany {
 protected:
  CrashMapTest() : world_(binary().version().minor, binary().map_kind()) {
    if (binary().map_kind() == elf::MapKind::kSwiss) {
      const test::SwissMap map(world_, 0, 1);
      map_ = map.header;
      type_ = map.type;
    } else {
      const test::BucketMap map(world_, 0, 0);
      map_ = map.header;
      type_ = map.type;
    }
    memory().add(kStacks, std::vector<std::uint8_t>(0x20000));
  }
  /// runtime.fatal called at `pc` of mapassign_faststr, whose slots hold these.
  Result<CrashMap> crash(std::uint64_t pc, std::uint64_t type, std::uint64_t map) {
    const std::uint64_t sp = kStacks + 0x1000;
    const auto fatal = binary().find(binary().find("runtime.fatal") ? "runtime.fatal" : "runtime.throw");
    put(sp, pc);
    const std::uint64_t cfa = sp + 8 + *binary().unwind_row(pc)->sp_delta + 8;
    put(cfa - 8, exit_);
    put(cfa, type);
    put(cfa + 8, map);
    const Both both(memory(), world_.memory);
    TypeReader types(both, world_.space);
    return find_crash_map(types, process(), {fatal->entry, sp, 0});
  }

  test::World world_;
  std::uint64_t map_ = 0, type_ = 0;
};

TEST_F(CrashMapTest, IsToldByTheArgumentsOfTheCall) {
  const auto found = crash(proven_, type_, map_);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->map, map_);
  EXPECT_EQ(found->type, type_);
  EXPECT_EQ(found->op, MW_OP_WRITE);
  EXPECT_EQ(found->function, kAssign);
}

TEST_F(CrashMapTest, IsNotToldWithoutProof) {
  EXPECT_FALSE(crash(unproven_, type_, map_)) << "what lies in the slots may be left from an earlier call";
}

TEST_F(CrashMapTest, IsNotToldWhereNoMapOrTypeIs) {
  EXPECT_FALSE(crash(proven_, type_, 0x4141414141414141));
  EXPECT_FALSE(crash(proven_, type_, 0));
  EXPECT_FALSE(crash(proven_, map_, map_)) << "no type's descriptor";
  EXPECT_FALSE(crash(proven_, 0xdead, map_));
}

}  // namespace
}  // namespace mapwatch::forensics
