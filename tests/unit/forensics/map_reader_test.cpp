// read_map on maps built without Go: sound ones raise nothing, each damage is named, limits hold.
#include "forensics/map_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/manual_clock.h"
#include "forensics/map_world.h"

namespace mapwatch::forensics {
namespace {

using test::BucketMap;
using test::SwissMap;
using test::World;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

MapPicture picture_of(World& world, std::uint64_t type, std::uint64_t map, const MapLimits& limits = {},
                      const Clock& clock = SystemClock()) {
  TypeReader types(world.memory, world.space);
  MapRequest request;
  request.type = type;
  request.map = map;
  request.limits = limits;
  auto picture = read_map(types, world.hashes(), request, clock);
  EXPECT_TRUE(picture) << picture.error().message;
  return picture ? std::move(*picture) : MapPicture{};
}

std::vector<std::string> codes(const MapPicture& picture) {
  std::vector<std::string> all;
  for (const MapFinding& finding : picture.findings) {
    all.emplace_back(describe(finding.defect).code);
  }
  return all;
}

/// A map[int]int in 8 buckets with 52 entries; `damage` changes it.
MapPicture buckets(const std::function<void(World&, BucketMap&)>& damage, const MapLimits& limits = {}) {
  World world(20, elf::MapKind::kBuckets);
  BucketMap map(world, 3, 16);
  for (std::uint64_t i = 0; i < 52; ++i) {
    map.insert(i, i * i);
  }
  damage(world, map);
  return picture_of(world, map.type, map.header, limits);
}

/// A map[int]int in 4 tables of 2 groups with 24 entries.
MapPicture swiss(int minor, const std::function<void(World&, SwissMap&)>& damage) {
  World world(minor, elf::MapKind::kSwiss);
  SwissMap map(world, 2, 2);
  for (std::uint64_t i = 0; i < 24; ++i) {
    map.insert(i, i * i);
  }
  damage(world, map);
  return picture_of(world, map.type, map.header);
}

std::uint64_t with_overflow(BucketMap& map, bool wanted) {
  for (std::uint64_t i = 0; i < 8; ++i) {
    if ((map.overflow_of(map.bucket(i)) != 0) == wanted) {
      return map.bucket(i);
    }
  }
  ADD_FAILURE() << "no bucket with overflow: " << wanted;
  return map.bucket(0);
}

TEST(MapReader, SoundBucketsRaiseNothing) {
  const MapPicture picture = buckets([](World&, BucketMap&) {});
  EXPECT_THAT(codes(picture), IsEmpty());
  EXPECT_EQ(picture.type_name, "map[int]int");
  EXPECT_EQ(picture.geometry.slots, 8u);
  EXPECT_EQ(picture.geometry.overflow_offset, BucketMap::kLink);
  EXPECT_EQ(picture.header.count, 52u);
  EXPECT_EQ(picture.totals.entries, 52u);
  EXPECT_EQ(picture.hashes.agree, 52u);
  EXPECT_EQ(picture.partial, "");
  EXPECT_FALSE(picture.changed_while_read);
}

TEST(MapReader, SoundTablesRaiseNothing) {
  for (const int minor : {24, 26, 27}) {
    const MapPicture picture = swiss(minor, [](World&, SwissMap&) {});
    EXPECT_THAT(codes(picture), IsEmpty()) << minor;
    EXPECT_EQ(picture.totals.entries, 24u);
    EXPECT_EQ(picture.hashes.agree, 24u);
    EXPECT_EQ(picture.totals.tables.tables, 4u);
    EXPECT_EQ(picture.totals.tables.growth_left, 4 * 14 - 24u);
    EXPECT_EQ(picture.distribution.blocks, 8u);
  }
}

TEST(MapReader, NamesWhereAChainEnds) {
  const MapPicture loop = buckets([](World& w, BucketMap& m) {
    const std::uint64_t overflow = m.overflow_of(with_overflow(m, true));
    w.memory.put(overflow + BucketMap::kLink, overflow);
  });
  EXPECT_THAT(codes(loop), ElementsAre("overflow_loop"));
  const MapPicture dangling = buckets([](World& w, BucketMap& m) {
    w.memory.put<std::uint64_t>(with_overflow(m, false) + BucketMap::kLink, 0xdead0000);
  });
  EXPECT_THAT(codes(dangling), ElementsAre("overflow_dangling"));
  EXPECT_THAT(dangling.findings[0].examples[0].text, HasSubstr("0xdead0000"));
  const MapPicture unaligned = buckets([](World& w, BucketMap& m) {
    w.memory.put<std::uint64_t>(with_overflow(m, false) + BucketMap::kLink, m.bucket(8) + 1);
  });
  EXPECT_THAT(codes(unaligned), ElementsAre("overflow_dangling"));
  const MapPicture shared =
      buckets([](World& w, BucketMap& m) { w.memory.put(m.bucket(7) + BucketMap::kLink, m.bucket(0)); });
  EXPECT_THAT(codes(shared), testing::Contains("overflow_shared"));
  EXPECT_THAT(shared.findings[0].examples[0].text, HasSubstr("bucket 0"));
}

TEST(MapReader, AWriteUnderWayExplainsACount) {
  const auto miscount = [](World& w, BucketMap& m) { w.memory.put<std::uint64_t>(m.header, 53); };
  const MapPicture still = buckets(miscount);
  ASSERT_THAT(codes(still), ElementsAre("count_mismatch"));
  EXPECT_FALSE(still.findings[0].explained_by_write);
  const MapPicture writing = buckets([&](World& w, BucketMap& m) {
    miscount(w, m);
    w.memory.put<std::uint8_t>(m.header + 8, 4 | 1);
  });
  ASSERT_THAT(codes(writing), ElementsAre("count_mismatch"));
  EXPECT_TRUE(writing.findings[0].explained_by_write);
  EXPECT_TRUE(writing.header.writing);
  EXPECT_THAT(writing.header.flag_words, ElementsAre("iterator", "writing"));
}

TEST(MapReader, ReadsAGrowingMapFromBothArrays) {
  const MapPicture sound = buckets([](World&, BucketMap& m) { m.grow(); });
  EXPECT_THAT(codes(sound), IsEmpty());
  EXPECT_EQ(sound.totals.entries, 52u);
  EXPECT_EQ(sound.totals.old_entries, 52u);
  EXPECT_TRUE(sound.growth.growing);
  const MapPicture half = buckets([](World& w, BucketMap& m) {
    const std::uint64_t old = m.bucket(2);
    m.grow();
    w.memory.put<std::uint8_t>(old + 1, 2);
  });
  EXPECT_THAT(codes(half), UnorderedElementsAre("half_evacuated", "count_mismatch"));
  const MapPicture early = buckets([](World& w, BucketMap& m) {
    m.grow();
    m.insert(1000, 1);
    w.memory.put<std::uint64_t>(m.header + 32, 8);
  });
  EXPECT_THAT(codes(early), testing::IsSupersetOf({"entry_before_evacuation", "evacuation_mark", "not_evacuated"}));
}

TEST(MapReader, NamesDamagedEntries) {
  const MapPicture illegal = buckets([](World& w, BucketMap& m) { w.memory.put<std::uint8_t>(m.bucket(1), 3); });
  EXPECT_THAT(codes(illegal), UnorderedElementsAre("illegal_tophash", "count_mismatch"));
  EXPECT_EQ(illegal.totals.illegal_marks, 1u);
  const MapPicture twice = buckets([](World&, BucketMap& m) { m.insert(7, 0); });
  EXPECT_THAT(codes(twice), ElementsAre("duplicate_key"));
  const MapPicture moved =
      buckets([](World& w, BucketMap& m) { w.memory.put<std::uint64_t>(m.bucket(1) + 8, 123456); });
  ASSERT_EQ(moved.findings.size(), 1u);
  EXPECT_THAT(codes(moved)[0], testing::AnyOf("wrong_bucket", "mark_mismatch"));
}

TEST(MapReader, KeysAreComparedWithinAChainWhenTheMapIsLarge) {
  MapLimits narrow;
  narrow.duplicate_window = 10;
  const MapPicture twice = buckets([](World&, BucketMap& m) { m.insert(7, 0); }, narrow);
  EXPECT_THAT(codes(twice), ElementsAre("duplicate_key"));
}

TEST(MapReader, DoesNotTrustHashesThatDoNotFit) {
  const MapPicture picture = buckets([](World& w, BucketMap& m) { w.memory.put<std::uint32_t>(m.header + 12, 99); });
  EXPECT_THAT(codes(picture), IsEmpty());
  EXPECT_THAT(picture.hashes.unavailable, HasSubstr("not confirmed"));
}

TEST(MapReader, NamesDamagedTables) {
  const auto put_table = [](std::uint64_t offset, auto value) {
    return [=](World& w, SwissMap& m) { w.memory.put(m.table(1) + offset, value); };
  };
  EXPECT_THAT(codes(swiss(24, put_table(6, std::uint8_t{1}))), ElementsAre("table_depth"));
  EXPECT_THAT(codes(swiss(24, put_table(6, std::uint8_t{200}))), ElementsAre("table_depth"));
  EXPECT_THAT(codes(swiss(24, put_table(8, std::int64_t{-1}))), ElementsAre("table_index"));
  EXPECT_THAT(codes(swiss(24, put_table(0, std::uint16_t{77}))), ElementsAre("table_used"));
  EXPECT_THAT(codes(swiss(24, put_table(2, std::uint16_t{24}))), ElementsAre("table_capacity"));
  EXPECT_THAT(codes(swiss(24, put_table(4, std::uint16_t{0}))), ElementsAre("growth_left"));
  EXPECT_THAT(codes(swiss(24, put_table(24, ~std::uint64_t{0}))),
              UnorderedElementsAre("table_capacity", "count_mismatch"));
  EXPECT_THAT(codes(swiss(24, put_table(16, std::uint64_t{1} << 60))),
              UnorderedElementsAre("unreadable_block", "count_mismatch"));
  const MapPicture illegal =
      swiss(27, [](World& w, SwissMap& m) { w.memory.put<std::uint8_t>(m.group(m.table(0), 0) + 7, 0x81); });
  EXPECT_THAT(codes(illegal), testing::Contains("illegal_control_byte"));
  const MapPicture nil = swiss(24, [](World& w, SwissMap& m) { w.memory.put<std::uint64_t>(m.directory + 8, 0); });
  EXPECT_THAT(codes(nil), UnorderedElementsAre("table_dangling", "count_mismatch"));
  const MapPicture depth = swiss(24, [](World& w, SwissMap& m) { w.memory.put<std::uint8_t>(m.header + 32, 5); });
  EXPECT_THAT(codes(depth), UnorderedElementsAre("directory_mismatch", "table_depth"));
}

TEST(MapReader, ATombstoneTheMapRulesOut) {
  const auto bury = [](World& w, SwissMap& m) {
    for (std::uint64_t slot = 0; slot < 8; ++slot) {
      const std::uint64_t at = m.group(m.table(0), 0) + slot;
      if (w.memory.at<std::uint8_t>(at) == 0x80) {
        w.memory.put<std::uint8_t>(at, 0xfe);
        w.memory.put<std::uint16_t>(m.table(0) + 4,
                                    static_cast<std::uint16_t>(w.memory.at<std::uint16_t>(m.table(0) + 4) - 1));
        return;
      }
    }
  };
  EXPECT_THAT(codes(swiss(24, bury)), IsEmpty()) << "Go 1.24 has no such flag";
  EXPECT_THAT(codes(swiss(25, bury)), ElementsAre("tombstone_unexpected"));
}

TEST(MapReader, StopsAtItsLimitsAndSaysSo) {
  MapLimits few;
  few.bytes = 100;
  const MapPicture bytes = buckets([](World&, BucketMap&) {}, few);
  EXPECT_NE(bytes.partial, "");
  EXPECT_THAT(codes(bytes), IsEmpty()) << "what was not read is not missed";

  MapLimits unreadable;
  unreadable.unreadable = 5;
  const MapPicture huge = buckets(
      [](World& w, BucketMap& m) {
        w.memory.put<std::uint8_t>(m.header + 9, 39);
        w.memory.put<std::uint64_t>(m.header + 16, 0x7000000000);
      },
      unreadable);
  EXPECT_THAT(huge.partial, HasSubstr("5 places could not be read"));
}

TEST(MapReader, KeysThatHoldThemselvesEnd) {
  World world(20, elf::MapKind::kBuckets);
  const std::uint64_t any = world.type(GoKind::kInterface, 16, "interface {}", false);
  const std::uint64_t type = world.map(any, 16, any, 16, "map[interface {}]interface {}", "runtime.nilinterhash");
  const std::uint64_t header = world.memory.piece(56);
  const std::uint64_t bucket = world.memory.piece(8 + 16 * 16 + 8);
  world.memory.put<std::uint64_t>(header, 1);
  world.memory.put(header + 16, bucket);
  world.memory.put<std::uint8_t>(bucket, 7);
  world.memory.put(bucket + 8, any);  // an interface whose value is the same interface
  world.memory.put(bucket + 16, bucket + 8);
  const MapPicture picture = picture_of(world, type, header);
  EXPECT_EQ(picture.totals.entries, 1u);
  EXPECT_EQ(picture.hashes.skipped, 1u);
}

TEST(MapReader, KeysOfCountlessPartsEnd) {
  World world(20, elf::MapKind::kBuckets);
  std::uint64_t part = world.structure("empty", 0, {});
  world.memory.put<std::uint8_t>(part + 20, 0);  // not plain memory: it must be gone through
  for (int level = 0; level < 6; ++level) {      // 100^6 parts
    std::vector<std::pair<std::string, std::pair<std::uint64_t, std::uint64_t>>> fields;
    for (int i = 0; i < 100; ++i) {
      fields.push_back({"f", {part, 0}});
    }
    part = world.structure("s", level == 5 ? 8 : 0, fields);
    world.memory.put<std::uint8_t>(part + 20, 0);
  }
  const std::uint64_t number = world.type(GoKind::kInt, 8, "int");
  const std::uint64_t type = world.map(part, 8, number, 8, "map[s]int", "type:.hash.s");
  BucketMap map(world, 2, 4);
  for (std::uint64_t i = 0; i < 20; ++i) {
    map.insert(i, i);
  }
  const MapPicture picture = picture_of(world, type, map.header);
  EXPECT_EQ(picture.totals.entries, 20u);
  EXPECT_EQ(picture.hashes.skipped, 20u);
}

/// A clock that moves on with each look.
class Ticking final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return now_ += 1'000'000; }
  std::int64_t realtime_ns() const override { return 0; }

 private:
  mutable std::uint64_t now_ = 0;
};

TEST(MapReader, StopsWhenTimeIsUp) {
  World world(24, elf::MapKind::kSwiss);
  SwissMap map(world, 8, 1);
  MapLimits limits;
  limits.time_ns = 10'000'000;
  const MapPicture picture = picture_of(world, map.type, map.header, limits, Ticking());
  EXPECT_EQ(picture.partial, "10 ms have passed");
  EXPECT_THAT(codes(picture), IsEmpty());
}

TEST(MapReader, HostileHeadersStayBounded) {
  std::uint64_t state = 1;
  const auto next = [&] { return state = state * 6364136223846793005ULL + 1442695040888963407ULL; };
  for (int round = 0; round < 400; ++round) {
    const bool is_swiss = round % 2 == 0;
    World world(is_swiss ? 26 : 22, is_swiss ? elf::MapKind::kSwiss : elf::MapKind::kBuckets);
    std::uint64_t type = 0;
    std::uint64_t header = 0;
    std::uint64_t body = 0;
    if (is_swiss) {
      SwissMap map(world, 3, 2);
      type = map.type, header = map.header, body = map.table(next() % 8);
    } else {
      BucketMap map(world, 4, 8);
      type = map.type, header = map.header, body = map.bucket(next() % 16);
    }
    for (int i = 0; i < 4; ++i) {  // any byte of the header, any of a table or bucket; pointers often hit something
      world.memory.put(header + next() % 48, static_cast<std::uint8_t>(next() >> 56));
      world.memory.put(body + next() % 32, static_cast<std::uint8_t>(next() >> 56));
    }
    MapLimits limits;
    limits.bytes = 1 << 20;
    limits.chain_blocks = 32;
    world.memory.bytes_asked = 0;
    const MapPicture picture = picture_of(world, type, header, limits);
    // Reading stops one chunk after the limit; types, keys and the retries of a chunk block by block come on top.
    EXPECT_LE(world.memory.bytes_asked, 8u << 20) << "round " << round;
    EXPECT_LE(picture.findings.size(), 33u);
  }
}

}  // namespace
}  // namespace mapwatch::forensics
