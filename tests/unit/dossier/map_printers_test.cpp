// A map as text, SVG and JSON: what is there is shown, and nothing of the target acts on its reader.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "dossier/map_json.h"
#include "dossier/map_svg.h"
#include "dossier/map_text.h"
#include "dossier/maps_in_use_text.h"

namespace mapwatch::dossier {
namespace {

using namespace forensics;
using testing::HasSubstr;
using testing::Not;

MapPicture sample() {
  MapPicture picture;
  picture.type_name = "map[string]<b>\x1b[2J";
  picture.geometry.slots = 8;
  picture.header.address = 0xc000010000;
  picture.header.count = 12;
  picture.header.writing = true;
  picture.header.flag_words = {"iterator", "writing"};
  BucketHeader header;
  header.flags = 5;
  header.b = 1;
  picture.header.layout = header;
  picture.growth.why = "no growth";
  picture.totals.entries = 11;
  picture.totals.marks = 24;
  picture.distribution.entries = {0, 0, 0, 1, 0, 0, 0, 0, 1};
  picture.distribution.probes = {11};
  picture.distribution.heat = {0.375, 1.2};
  picture.distribution.blocks = 2;
  picture.findings.push_back({MapDefect::kOverflowLoop, 1, {{0xc000020000, "bucket 1 leads back"}}, false});
  picture.findings.push_back({MapDefect::kCount, 1, {{0xc000010000, "count is 12, 11 entries were found"}}, true});
  picture.hashes.unavailable = "the hash keys were not found";
  return picture;
}

TEST(MapPrinters, TextNamesStateDamageAndShape) {
  const std::string text = map_text(sample());
  EXPECT_THAT(text, HasSubstr("map 0xc000010000 map[string]<b>\\x1b[2J (buckets"));
  EXPECT_THAT(text, HasSubstr("iterator, writing"));
  EXPECT_THAT(text, HasSubstr("yes: a goroutine is inside a write"));
  EXPECT_THAT(text, HasSubstr("11, len() says 12"));
  EXPECT_THAT(text, HasSubstr("overflow_loop (1): "));
  EXPECT_THAT(text, HasSubstr("0xc000020000 bucket 1 leads back"));
  EXPECT_THAT(text, HasSubstr("a write that is under way can look like this"));
  EXPECT_THAT(text, HasSubstr("not computed: the hash keys were not found"));
  EXPECT_THAT(text, HasSubstr("▃▓")) << "3/8 full, then overfull";
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(MapPrinters, TextOfASoundMapSaysSo) {
  MapPicture picture = sample();
  picture.findings.clear();
  EXPECT_THAT(map_text(picture), HasSubstr("no damage found"));
  picture.partial = "10 ms have passed";
  const std::string text = map_text(picture);
  EXPECT_THAT(text, HasSubstr("in the part that was read"));
  EXPECT_THAT(text, HasSubstr("not all of the map was read: 10 ms have passed"));
}

TEST(MapPrinters, SvgHoldsNothingThatActs) {
  const std::string svg = map_svg(sample());
  EXPECT_THAT(svg, testing::StartsWith("<svg "));
  EXPECT_THAT(svg, HasSubstr("map[string]&lt;b&gt;"));
  EXPECT_THAT(svg, HasSubstr("120 % of the slots"));
  EXPECT_THAT(svg, HasSubstr("#b3261e"));
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, Not(HasSubstr("\x1b")));
}

TEST(MapPrinters, JsonHasTheSameFacts) {
  const auto json = nlohmann::json::parse(map_json(sample()));
  EXPECT_EQ(json["address"], "0xc000010000");
  EXPECT_EQ(json["header"]["flags"], nlohmann::json({"iterator", "writing"}));
  EXPECT_EQ(json["findings"][0]["code"], "overflow_loop");
  EXPECT_EQ(json["findings"][1]["explained_by_write"], true);
  EXPECT_EQ(json["hashes"]["unavailable"], "the hash keys were not found");
  EXPECT_EQ(json["partial"], nullptr);
}

TEST(MapPrinters, NumbersAreGrouped) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(12345678), "12,345,678");
}

TEST(MapPrinters, EntriesThatAreNotShownAreCounted) {
  MapPicture picture = sample();
  EXPECT_THAT(map_text(picture), Not(HasSubstr("more\n"))) << "none was asked for";
  picture.entries = {{0xc000020000, "\"a\"", "1"}};
  EXPECT_THAT(map_text(picture), testing::EndsWith("    \"a\": 1\n    ... and 10 more\n"));
}

MapsInUse in_use() {
  MapsInUse maps;
  maps.list.resize(2);
  maps.list[0].map = 0xc000010000;
  for (std::uint64_t id = 1; id <= 12; ++id) {
    maps.list[0].users.push_back({id, id == 1 ? MW_OP_WRITE : MW_OP_READ});
  }
  maps.list[0].picture = sample();
  maps.list[1].map = 0xc000030000;
  maps.list[1].users = {{7, MW_OP_ITERATE}};
  maps.list[1].unread = "no type\x1b[2J";
  return maps;
}

TEST(MapPrinters, WhoIsInsideAMapAndWhyItWasNotRead) {
  const std::string text = maps_in_use_text(in_use());
  EXPECT_THAT(text, testing::StartsWith("in use by goroutine 1 (write), goroutine 2 (read), "));
  EXPECT_THAT(text, HasSubstr("goroutine 10 (read) and 2 more:\nmap 0xc000010000 map[string]"));
  EXPECT_THAT(text, testing::EndsWith("in use by goroutine 7 (iterate):\nmap 0xc000030000: no type\\x1b[2J\n\n"));
  EXPECT_EQ(maps_in_use_text({}), "");
}

TEST(MapPrinters, AMapInUseAsJson) {
  const MapsInUse maps = in_use();
  const auto read = nlohmann::json::parse(map_in_use_json(maps.list[0]));
  EXPECT_EQ(read["kind"], "map");
  EXPECT_EQ(read["schema_version"], 1);
  EXPECT_EQ(read["users"].size(), 12u);
  EXPECT_EQ(read["users"][0], nlohmann::json({{"goid", 1}, {"op", "write"}}));
  EXPECT_EQ(read["unread"], nullptr);
  EXPECT_EQ(read["address"], "0xc000010000");
  EXPECT_EQ(read["layout"], "buckets");
  const auto unread = nlohmann::json::parse(map_in_use_json(maps.list[1]));
  EXPECT_EQ(unread["unread"], "no type\\x1b[2J");
  EXPECT_EQ(unread["address"], "0xc000030000");
}

}  // namespace
}  // namespace mapwatch::dossier
