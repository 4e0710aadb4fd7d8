// Code decides what is believed of another goroutine's stack.
#include "app/vouch.h"

#include <gtest/gtest.h>

#include <cstring>

#include "elf/tiny_go.h"

namespace mapwatch::app {
namespace {

using test::TinyGo;

constexpr std::uint64_t kReturn = TinyGo::kBase + TinyGo::kMain + 25;  // after a call at main.main+20

/// main.main+20 calls `target`.
TinyGo calling(std::uint64_t target) {
  TinyGo file;
  file.put<std::uint8_t>(TinyGo::kMain + 20, 0xe8);
  file.put<std::int32_t>(TinyGo::kMain + 21, static_cast<std::int32_t>(target - kReturn));
  return file;
}

bool vouches(const TinyGo& file, std::uint64_t address = kReturn) {
  const auto binary = elf::GoBinary::parse(file.view());
  EXPECT_TRUE(binary) << binary.error().message;
  return binary && returns_from_map_function(*binary, address);
}

TEST(Vouch, OnlyAfterACallOfAMapFunction) {
  const std::uint64_t assign = TinyGo::kBase + TinyGo::kAssign;
  EXPECT_TRUE(vouches(calling(assign)));
  EXPECT_FALSE(vouches(calling(assign + 4))) << "into the middle of it";
  EXPECT_FALSE(vouches(calling(TinyGo::kBase + TinyGo::kMain))) << "another function";
  EXPECT_FALSE(vouches(calling(0x10))) << "outside the program";
  EXPECT_FALSE(vouches(calling(assign), kReturn + 1)) << "not at the call's end";
  TinyGo jump = calling(assign);
  EXPECT_FALSE(vouches(jump.put<std::uint8_t>(TinyGo::kMain + 20, 0xe9))) << "no call";
  for (const std::uint64_t wild : {std::uint64_t{0}, std::uint64_t{3}, TinyGo::kBase, ~std::uint64_t{0}}) {
    EXPECT_FALSE(vouches(calling(assign), wild)) << wild;
  }
}

mw_access_event mark_event(std::uint64_t other_pc) {
  mw_access_event raw{};
  raw.head = {MW_EVENT_ACCESS, sizeof(raw), 1'000, 100, 101, 0, 0};
  raw.role = MW_ROLE_VISITOR;
  raw.evidence = MW_EVIDENCE_MARK;
  raw.op = MW_OP_READ;
  raw.site_class = MW_SITE_PUSH;
  raw.map = 0xc000012340;
  raw.flags = MW_ACCESS_OTHER_KNOWN;
  raw.other_g = 0xc000000020;
  raw.other_goid = 7;
  raw.other_op = MW_OP_WRITE;
  raw.other_pc = other_pc;
  raw.stack.count = 1;
  return raw;
}

TEST(Vouch, TakesOutWhatTheCodeContradicts) {
  const TinyGo file = calling(TinyGo::kBase + TinyGo::kAssign);
  const auto binary = elf::GoBinary::parse(file.view());
  ASSERT_TRUE(binary);
  constexpr std::uint64_t kBias = 0x7000000;
  const elf::HeldBinary source(std::shared_ptr<const elf::GoBinary>(std::shared_ptr<void>(), &*binary));
  const auto judged = [](std::uint64_t pc, const elf::BinarySource* program) {
    const mw_access_event raw = mark_event(pc);
    const Bytes record(&raw, sizeof(raw));
    auto event = ingest::decode(record);
    EXPECT_TRUE(event);
    const auto without = vouch(*event, record, program, kBias);
    const auto& access = std::get<ingest::AccessEvent>(*event);
    if (!without.empty()) {  // a recording tells the same
      const auto again = ingest::decode(Bytes(without.data(), without.size()));
      EXPECT_TRUE(again);
      EXPECT_EQ(std::get<ingest::AccessEvent>(*again).other_pc, access.other_pc);
    }
    EXPECT_EQ(access.other_goid, 7u) << "who it was is known all the same";
    return access.other_pc;
  };
  EXPECT_EQ(judged(kReturn + kBias, &source), kReturn + kBias);
  EXPECT_EQ(judged(kReturn + kBias + 5, &source), 0u);
  EXPECT_EQ(judged(kReturn + kBias, nullptr), 0u) << "a program that is not known";
  EXPECT_EQ(judged(0, &source), 0u);
}

}  // namespace
}  // namespace mapwatch::app
