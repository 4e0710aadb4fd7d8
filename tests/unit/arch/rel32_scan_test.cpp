#include "arch/rel32_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/hex.h"

namespace mapwatch::arch {
namespace {

using test::Code;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kBase = 0x401000;

std::vector<std::pair<std::uint64_t, std::uint32_t>> found(const char* hex, std::vector<std::uint64_t> targets,
                                                           std::size_t limit = 100) {
  std::vector<Rel32> hits;
  find_rel32(Code(hex).bytes(), kBase, targets, limit, hits);
  std::vector<std::pair<std::uint64_t, std::uint32_t>> out;
  for (const Rel32& hit : hits) {
    out.emplace_back(hit.address, hit.target);
  }
  return out;
}

TEST(Rel32Scan, FindsWhateverMayBringADisplacement) {
  // call, jmp, jbe, lea: each to 0x401100.
  EXPECT_THAT(found("90 e8fa000000", {kBase + 0x100}), ElementsAre(std::pair(kBase + 2, 0U)));
  EXPECT_THAT(found("e9fb000000", {kBase + 0x100}), ElementsAre(std::pair(kBase + 1, 0U)));
  EXPECT_THAT(found("0f86fa000000", {kBase + 0x100}), ElementsAre(std::pair(kBase + 2, 0U)));
  EXPECT_THAT(found("488d05f9000000", {kBase + 0x100}), ElementsAre(std::pair(kBase + 3, 0U)));
  EXPECT_THAT(found("86fb000000", {kBase + 0x100}), IsEmpty()) << "no 0f before it";
  EXPECT_THAT(found("90fb000000", {kBase + 0x100}), IsEmpty());
}

TEST(Rel32Scan, TellsTargetsApart) {
  const std::vector<std::uint64_t> targets = {kBase - 0x100, kBase + 0x20, kBase + 0x4000};
  EXPECT_THAT(found("e8fbfeffff e816000000 e8f13f0000 e8f03f0000", targets),
              ElementsAre(std::pair(kBase + 1, 0U), std::pair(kBase + 6, 1U), std::pair(kBase + 11, 2U)));
}

TEST(Rel32Scan, StopsAtItsLimitAndAtTheEnd) {
  EXPECT_THAT(found("e8fb000000 e8f6000000", {kBase + 0x100}, 1), ElementsAre(std::pair(kBase + 1, 0U)));
  EXPECT_THAT(found("e8fb0000", {kBase + 0x100}), IsEmpty());
  EXPECT_THAT(found("", {kBase + 0x100}), IsEmpty());
  EXPECT_THAT(found("e8fb000000", {}), IsEmpty());
}

// Two addresses that 4 GiB lie between are the same in 32 bits.
TEST(Rel32Scan, TargetsFarAwayAreNotMistaken) {
  EXPECT_THAT(found("e8fb000000", {kBase + 0x100 + (std::uint64_t{1} << 32)}), IsEmpty());
  EXPECT_THAT(found("e8fb000000", {kBase + 0x100, kBase + (std::uint64_t{1} << 40)}),
              ElementsAre(std::pair(kBase + 1, 0U)));
}

}  // namespace
}  // namespace mapwatch::arch
