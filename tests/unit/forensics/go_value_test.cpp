// Types and values of a hostile target.
#include "forensics/go_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "forensics/map_type.h"
#include "forensics/map_world.h"

namespace mapwatch::forensics {
namespace {

using test::World;
using testing::HasSubstr;

struct Values : testing::Test {
  World world{22, elf::MapKind::kBuckets};
  std::uint64_t number = world.type(GoKind::kInt, 8, "int");
  std::uint64_t text = world.type(GoKind::kString, 16, "string", false);

  std::string show(std::uint64_t type, std::uint64_t address, const ValueStyle& style = {}) {
    TypeReader types(world.memory, world.space);
    const auto read = types.at(type);
    EXPECT_TRUE(read) << read.error().message;
    return read ? value_text(types, **read, address, style) : "";
  }
  std::uint64_t string_at(const std::string& bytes, std::uint64_t length) {
    const std::uint64_t address = world.memory.piece(16);
    world.memory.put(address, world.memory.text(bytes));
    world.memory.put(address + 8, length);
    return address;
  }
};

TEST_F(Values, StringsAreEscapedCutAndRedacted) {
  EXPECT_EQ(show(text, string_at("plain", 5)), "\"plain\"");
  EXPECT_EQ(show(text, string_at("\x1b[2J\n", 5)), "\"\\x1b[2J\\x0a\"");
  EXPECT_EQ(show(text, string_at("a\"b\\c", 5)), "\"a\\\"b\\\\c\"");
  ValueStyle style;
  style.string_bytes = 3;
  EXPECT_EQ(show(text, string_at("abcdef", 6), style), "\"abc\"... +3");
  style.redact = true;
  EXPECT_EQ(show(text, string_at("secret", 6), style), "string(6 bytes)");
}

TEST_F(Values, StringsThatLieAreNamed) {
  EXPECT_THAT(show(text, string_at("short", 1 << 20)), HasSubstr("unreadable"));
  EXPECT_THAT(show(text, string_at("x", ~std::uint64_t{0})), HasSubstr("length 0xffffffffffffffff"));
  const std::uint64_t wild = world.memory.piece(16);
  world.memory.put<std::uint64_t>(wild, 0xdead0000);
  world.memory.put<std::uint64_t>(wild + 8, 7);
  EXPECT_EQ(show(text, wild), "string(7 bytes at 0xdead0000, unreadable)");
  EXPECT_EQ(show(text, 0x5), "unreadable at 0x5");
}

TEST_F(Values, StructsInterfacesAndPointers) {
  const std::uint64_t point = world.structure("main.Point", 24, {{"X", {number, 0}}, {"Name", {text, 8}}});
  const std::uint64_t value = world.memory.piece(24);
  world.memory.put<std::int64_t>(value, -7);
  world.memory.put(value + 8, world.memory.text("hi"));
  world.memory.put<std::uint64_t>(value + 16, 2);
  EXPECT_EQ(show(point, value), "main.Point{X: -7, Name: \"hi\"}");
  ValueStyle redact;
  redact.redact = true;
  EXPECT_EQ(show(point, value, redact), "main.Point{X: int, Name: string(2 bytes)}");

  const std::uint64_t any = world.type(GoKind::kInterface, 16, "interface {}", false);
  const std::uint64_t boxed = world.memory.piece(16);
  EXPECT_EQ(show(any, boxed), "nil");
  world.memory.put(boxed, point);
  world.memory.put(boxed + 8, value);
  EXPECT_EQ(show(any, boxed), "main.Point{X: -7, Name: \"hi\"}");
  world.memory.put<std::uint64_t>(boxed, 0xdead0000);
  EXPECT_THAT(show(any, boxed), HasSubstr("unreadable"));

  const std::uint64_t pointer = world.type(GoKind::kPointer, 8, "*int");
  const std::uint64_t cell = world.memory.piece(8);
  EXPECT_EQ(show(pointer, cell), "nil");
  world.memory.put<std::uint64_t>(cell, 0xc000012345);
  EXPECT_EQ(show(pointer, cell), "(*int)(0xc000012345)");
}

TEST_F(Values, AnInterfaceThatHoldsItselfEnds) {
  const std::uint64_t any = world.type(GoKind::kInterface, 16, "interface {}", false);
  const std::uint64_t self = world.memory.piece(16);
  world.memory.put(self, any);
  world.memory.put(self + 8, self);
  EXPECT_THAT(show(any, self), HasSubstr("..."));
}

TEST_F(Values, SlicesOfAnyLengthAreCut) {
  const std::uint64_t slice = world.type(GoKind::kSlice, 24, "[]int", false);
  world.memory.put(slice + 48, number);
  const std::uint64_t data = world.memory.piece(64);
  const std::uint64_t header = world.memory.piece(24);
  EXPECT_EQ(show(slice, header), "nil");
  world.memory.put(header, data);
  world.memory.put<std::uint64_t>(header + 8, std::uint64_t{1} << 39);
  EXPECT_THAT(show(slice, header), HasSubstr("... +549755813880}"));
  ValueStyle style;
  style.text = 20;
  EXPECT_LE(show(slice, header, style).size(), 23u);
}

TEST_F(Values, DescriptorsThatLieAreRefused) {
  TypeReader types(world.memory, world.space);
  const auto message = [&](std::uint64_t address) {
    const auto type = types.at(address);
    return type ? "read" : type.error().message;
  };
  EXPECT_THAT(message(0), HasSubstr("not an address"));
  EXPECT_THAT(message(number + 1), HasSubstr("not an address"));
  EXPECT_THAT(message(0xdead0000), HasSubstr("not readable"));
  const std::uint64_t bad_kind = world.type(GoKind::kInt, 8, "int");
  world.memory.put<std::uint8_t>(bad_kind + 23, 31);
  EXPECT_THAT(message(bad_kind), HasSubstr("kind 31"));
  const std::uint64_t vast = world.type(GoKind::kInt, std::uint64_t{1} << 50, "int");
  EXPECT_THAT(message(vast), HasSubstr("size"));
  const std::uint64_t fields = world.structure("s", 8, {{"a", {number, 0}}});
  world.memory.put<std::uint64_t>(fields + 64, std::uint64_t{1} << 60);
  EXPECT_THAT(message(fields), HasSubstr("claims"));
  const std::uint64_t outside = world.structure("s", 8, {{"a", {number, 9}}});
  EXPECT_THAT(message(outside), HasSubstr("outside of it"));
}

TEST_F(Values, AMapTypeThatContradictsItselfIsRefused) {
  const std::uint64_t map = world.map(number, 8, text, 16, "map[int]string", "runtime.memhash64");
  {
    TypeReader types(world.memory, world.space);
    const auto good = read_map_type(types, map);
    ASSERT_TRUE(good) << good.error().message;
    EXPECT_EQ(good->geometry.element_at(1), 8 + 64 + 16u);
  }
  world.memory.put<std::uint16_t>(map + 82, 300);
  TypeReader types(world.memory, world.space);
  const auto bad = read_map_type(types, map);
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("a block of 300 bytes"));
  EXPECT_FALSE(read_map_type(types, number)) << "an int is no map";
}

}  // namespace
}  // namespace mapwatch::forensics
