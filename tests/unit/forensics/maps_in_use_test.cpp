// The maps that goroutines are inside of, by the memory of a made-up process. Real ones: tests/e2e dump/maps-*.
#include "forensics/maps_in_use.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "forensics/map_world.h"
#include "forensics/map_writers.h"

namespace mapwatch::forensics {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kMap = 0xc000111110;

class MapsInUseTest : public MapWriters {
 protected:
  MapsInUse found() {
    take();
    return find_maps_in_use(copy_, process(), memory(), clock_, deadline_ns_);
  }

  std::uint64_t deadline_ns_ = UINT64_MAX;
};

TEST_F(MapsInUseTest, GoroutinesOfOneMapAreTogether) {
  writer(9, proven_, kMap, kRunnable);
  writer(10, proven_, kMap + 0x100, kRunnable);
  writer(11, proven_, kMap, kRunnable);
  const MapsInUse maps = found();
  ASSERT_EQ(maps.list.size(), 2u);
  EXPECT_EQ(maps.list[0].map, kMap);
  ASSERT_EQ(maps.list[0].users.size(), 2u);
  EXPECT_EQ(maps.list[0].users[0].goid, 9u);
  EXPECT_EQ(maps.list[0].users[0].op, MW_OP_WRITE);
  EXPECT_EQ(maps.list[0].users[1].goid, 11u);
  EXPECT_EQ(maps.list[1].users.at(0).goid, 10u);
  EXPECT_TRUE(maps.notes.empty());
}

TEST_F(MapsInUseTest, WhatNoCodeProvesIsNotTold) {
  writer(9, unproven_, kMap, kRunnable);
  EXPECT_TRUE(found().list.empty());
}

TEST_F(MapsInUseTest, OnlyTheCollectorMakesAGoroutineWaitInsideAMap) {
  const std::uint64_t address = writer(9, proven_, kMap, kWaiting);
  EXPECT_TRUE(found().list.empty());
  for (int reason = 0; reason < 100; ++reason) {
    if (elf::wait_reason(binary().version().minor, static_cast<std::uint8_t>(reason)) == "GC assist wait") {
      memory().put<std::uint8_t>(address + g().waitreason, static_cast<std::uint8_t>(reason));
    }
  }
  EXPECT_EQ(found().list.size(), 1u);
}

TEST_F(MapsInUseTest, NothingIsLookedAtOnceTimeIsUp) {
  writer(9, proven_, kMap, kRunnable);
  deadline_ns_ = clock_.monotonic_ns();
  const MapsInUse maps = found();
  EXPECT_TRUE(maps.list.empty());
  EXPECT_THAT(maps.notes, ElementsAre("maps in use: 1 goroutines were not looked at"));
}

TEST_F(MapsInUseTest, MoreMapsThanAreShownAreCounted) {
  for (std::uint64_t i = 0; i < kMostMapsInUse + 3; ++i) {
    writer(i + 2, proven_, kMap + 0x100 * i, kRunnable);
  }
  const MapsInUse maps = found();
  EXPECT_EQ(maps.list.size(), kMostMapsInUse);
  EXPECT_THAT(maps.notes, ElementsAre("maps in use: 3 more than the 16 that are shown"));
}

TEST_F(MapsInUseTest, AreReadAsFarAsTheyCanBe) {
  test::World world(binary().version().minor, binary().map_kind());
  MapsInUse maps;
  maps.list.resize(3);
  if (binary().map_kind() == elf::MapKind::kSwiss) {
    const test::SwissMap map(world, 0, 1);
    maps.list[0].map = map.header;
    maps.list[0].type = map.type;
  } else {
    const test::BucketMap map(world, 0, 0);
    maps.list[0].map = map.header;
    maps.list[0].type = map.type;
  }
  maps.list[1].map = maps.list[2].map = maps.list[0].map;
  maps.list[2].type = 0xdead;
  MapsInUse late = maps;
  read_maps_in_use(maps, world.memory, process(), {}, clock_);
  ASSERT_TRUE(maps.list[0].picture) << maps.list[0].unread;
  EXPECT_EQ(maps.list[0].picture->header.address, maps.list[0].map);
  EXPECT_FALSE(maps.list[1].picture);
  EXPECT_EQ(maps.list[1].unread, "no frame proves its type");
  EXPECT_FALSE(maps.list[2].picture);
  EXPECT_THAT(maps.list[2].unread, HasSubstr("0xdead"));
  MapRequest no_time;
  no_time.limits.time_ns = 0;
  read_maps_in_use(late, world.memory, process(), no_time, clock_);
  EXPECT_EQ(late.list[0].unread, "the time for it was over");
}

}  // namespace
}  // namespace mapwatch::forensics
