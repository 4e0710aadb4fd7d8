#include "attach/own_text.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <set>
#include <vector>

#include "attach/self_test.h"

namespace mapwatch::attach {
namespace {

// Intel SDM vol. 2: NOP, PUSH r64, JBE rel8, CALL rel32, SUB r/m64 imm8 (with REX.W).
const BySiteClass<std::vector<unsigned char>> kBytes = {{{0x90}, {0x55}, {0x76}, {0xe8}, {0x48, 0x83, 0xec}}};

TEST(OwnText, EachClassIsTheInstructionThatItStandsFor) {
  const auto offsets = own_file_offsets();
  ASSERT_TRUE(offsets) << offsets.error().message;
  std::ifstream exe("/proc/self/exe", std::ios::binary);
  for (std::size_t i = 0; i < kBytes.size(); ++i) {
    const OwnSite& site = own_sites()[i];
    const auto* code = reinterpret_cast<const unsigned char*>(site.address);
    EXPECT_TRUE(std::equal(kBytes[i].begin(), kBytes[i].end(), code)) << i;
    std::vector<char> file(kBytes[i].size());
    exe.seekg(static_cast<std::streamoff>((*offsets)[i]));
    exe.read(file.data(), static_cast<std::streamsize>(file.size()));
    EXPECT_EQ(std::memcmp(file.data(), kBytes[i].data(), file.size()), 0) << "not at that offset of the file: " << i;
    site.run();
  }
}

TEST(SelfTest, EachClassHasAPriceByEitherLink) {
  for (const bool perf : {false, true}) {
    const auto tested = self_test(perf);
    if (!tested || (!perf && !tested->uprobe_multi)) {
      GTEST_SKIP() << "no probes are to be had here";
    }
    for (std::size_t i = 0; i < tested->ns_per_hit.size(); ++i) {
      EXPECT_GT(tested->ns_per_hit[i], 0) << "class " << i << (perf ? " by perf_event" : " by uprobe_multi");
    }
    EXPECT_EQ(tested->perf_links != nullptr, perf);
  }
}

}  // namespace
}  // namespace mapwatch::attach
