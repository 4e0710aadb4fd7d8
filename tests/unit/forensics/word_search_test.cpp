#include "forensics/word_search.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/manual_clock.h"
#include "forensics/snapshot_memory.h"

namespace mapwatch::forensics {
namespace {

constexpr std::uint64_t kBegin = 0x10000;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kWord = 0xc000012340;

class WordSearch : public testing::Test {
 protected:
  WordPlaces find(std::vector<elf::AddressRange> ranges, const SearchLimits& limits = {}) {
    const BoundedMemory bounded(memory_, clock_, deadline_);
    return find_word(bounded, ranges, kWord, limits);
  }
  void fill(std::uint64_t begin, std::uint64_t size) { memory_.add(begin, std::vector<std::uint8_t>(size)); }

  SnapshotMemory memory_;
  test::ManualClock clock_;
  std::uint64_t deadline_ = UINT64_MAX;
};

TEST_F(WordSearch, FindsTheFirstAndTheLastWordAndNoneBetweenWords) {
  fill(kBegin, 3 * kPage);
  memory_.put(kBegin, kWord);
  memory_.put(kBegin + 3 * kPage - 8, kWord);
  memory_.put(kBegin + 100, kWord);  // not where Go puts a pointer
  const WordPlaces found = find({{kBegin, kBegin + 3 * kPage}});
  EXPECT_EQ(found.addresses, (std::vector<std::uint64_t>{kBegin, kBegin + 3 * kPage - 8}));
  EXPECT_EQ(found.total, 2U);
  EXPECT_EQ(found.bytes_searched, 3 * kPage);
  EXPECT_EQ(found.partial, "");
}

TEST_F(WordSearch, ARangeMayBeginAndEndAnywhere) {
  fill(kBegin, 2 * kPage);
  memory_.put(kBegin + 8, kWord);
  memory_.put(kBegin + 24, kWord);
  EXPECT_EQ(find({{kBegin + 3, kBegin + 31}}).addresses, (std::vector<std::uint64_t>{kBegin + 8}));
  EXPECT_EQ(find({{kBegin + 9, kBegin + 32}}).addresses, (std::vector<std::uint64_t>{kBegin + 24}));
  EXPECT_EQ(find({{kBegin + 32, kBegin + 8}, {kBegin, kBegin}}).bytes_searched, 0U) << "no ranges at all";
}

TEST_F(WordSearch, AcrossWhatIsReadAtATime) {
  const std::uint64_t size = std::uint64_t{3} << 20;
  fill(kBegin, size);
  std::vector<std::uint64_t> wanted;
  for (std::uint64_t at = kBegin; at < kBegin + size; at += 256 << 10) {
    wanted.push_back(at);
    memory_.put(at, kWord);
    if (at != kBegin) {
      wanted.push_back(at - 8);
      memory_.put(at - 8, kWord);
    }
  }
  std::ranges::sort(wanted);
  EXPECT_EQ(find({{kBegin, kBegin + size}}).addresses, wanted);
}

TEST_F(WordSearch, StepsOverPagesThatAreNotThere) {
  fill(kBegin, kPage);
  fill(kBegin + 2 * kPage, kPage);
  memory_.put(kBegin + kPage - 8, kWord);
  memory_.put(kBegin + 2 * kPage, kWord);
  const WordPlaces found = find({{kBegin, kBegin + 4 * kPage}});
  EXPECT_EQ(found.addresses, (std::vector<std::uint64_t>{kBegin + kPage - 8, kBegin + 2 * kPage}));
  EXPECT_EQ(found.bytes_unreadable, 2 * kPage);
  EXPECT_EQ(found.partial, "");
}

TEST_F(WordSearch, CountsMoreThanItLists) {
  fill(kBegin, kPage);
  for (std::uint64_t at = 0; at < kPage; at += 8) {
    memory_.put(kBegin + at, kWord);
  }
  const WordPlaces found = find({{kBegin, kBegin + kPage}}, {10, 1 << 20});
  EXPECT_EQ(found.addresses.size(), 10U);
  EXPECT_EQ(found.total, kPage / 8);
}

TEST_F(WordSearch, EndsAtItsLimitAndSaysSo) {
  fill(kBegin, 4 * kPage);
  memory_.put(kBegin + 3 * kPage, kWord);
  const WordPlaces found = find({{kBegin, kBegin + 4 * kPage}}, {10, 2 * kPage});
  EXPECT_EQ(found.total, 0U);
  EXPECT_EQ(found.bytes_searched, 2 * kPage);
  EXPECT_EQ(found.partial, "more memory than is searched");
  // A process may say that its data are half of the address space.
  const WordPlaces vast = find({{kBegin + 4 * kPage, kBegin + (std::uint64_t{1} << 47)}}, {10, 1 << 20});
  EXPECT_EQ(vast.bytes_unreadable, 1U << 20);
  EXPECT_EQ(vast.partial, "more memory than is searched");
}

TEST_F(WordSearch, EndsWhenItsTimeIsOverAndSaysSo) {
  fill(kBegin, kPage);
  memory_.put(kBegin, kWord);
  deadline_ = clock_.monotonic_ns();
  const WordPlaces found = find({{kBegin, kBegin + kPage}});
  EXPECT_EQ(found.total, 0U);
  EXPECT_EQ(found.partial, "the time for searching was over");
}

}  // namespace
}  // namespace mapwatch::forensics
