// The go command itself is the Go binary at hand: `make deps` installs it.
#include "symbolize/live_symbolizer.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "elf/go_binary.h"
#include "elf/mapped_file.h"

namespace mapwatch::symbolize {
namespace {

constexpr std::uint64_t kBias = 0x5500'0000'0000;

struct Loaded {
  elf::MappedFile file;
  elf::GoBinary binary;
};

std::string find_go() {
  std::istringstream path(std::getenv("PATH") == nullptr ? "" : std::getenv("PATH"));
  for (std::string dir; std::getline(path, dir, ':');) {
    if (::access((dir + "/go").c_str(), X_OK) == 0) {
      return dir + "/go";
    }
  }
  return ::access("/usr/local/go/bin/go", X_OK) == 0 ? "/usr/local/go/bin/go" : "";
}

class LiveSymbolizerTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string go = find_go();
    if (go.empty()) {
      GTEST_SKIP() << "no go command in PATH";
    }
    auto file = elf::MappedFile::open(go);
    ASSERT_TRUE(file) << file.error().message;
    auto binary = elf::GoBinary::parse(file->bytes());
    ASSERT_TRUE(binary) << binary.error().message;
    loaded_ = std::make_shared<Loaded>(Loaded{std::move(*file), std::move(*binary)});
    held_ = std::make_shared<elf::HeldBinary>(std::shared_ptr<const elf::GoBinary>(loaded_, &loaded_->binary));
    symbols_.add_process(7, held_, kBias);
  }

  std::uint64_t entry(const char* name) const {
    const auto function = loaded_->binary.find(name);
    EXPECT_TRUE(function) << name;
    return function ? function->entry + kBias : 0;
  }

  std::shared_ptr<Loaded> loaded_;
  std::shared_ptr<const elf::BinarySource> held_;
  LiveSymbolizer symbols_;
};

TEST_F(LiveSymbolizerTest, FirstPcIsExactTheOthersAreReturnAddresses) {
  const std::uint64_t assign = entry("runtime.mapassign_faststr");
  const auto frames = symbols_.stack(7, {assign, assign});
  ASSERT_GE(frames.size(), 2u);
  EXPECT_EQ(frames[0].func, "runtime.mapassign_faststr");
  EXPECT_EQ(frames[0].offset, 0u);
  EXPECT_TRUE(frames[0].runtime);
  EXPECT_NE(frames[1].func, "runtime.mapassign_faststr")
      << "the call before a return address is in the function before";
  EXPECT_EQ(frames[1].pc, assign);
}

TEST_F(LiveSymbolizerTest, MarksMainAndDropsTheBottom) {
  const std::uint64_t main = entry("main.main");
  const auto frames =
      symbols_.stack(7, {entry("runtime.mapassign_faststr") + 10, main + 20, entry("runtime.goexit") + 1});
  ASSERT_GE(frames.size(), 2u);
  EXPECT_NE(frames.back().func, "runtime.goexit");
  const Frame& user = frames.back();
  EXPECT_EQ(user.func, "main.main");
  EXPECT_TRUE(user.user);
  EXPECT_EQ(user.offset, 20u);
  EXPECT_GT(user.line, 0);
  EXPECT_TRUE(user.file.ends_with("main.go")) << user.file;
}

TEST_F(LiveSymbolizerTest, ReturnAddressOfAGoStatement) {
  const auto frames = symbols_.at(7, entry("main.main") + 20);
  ASSERT_FALSE(frames.empty());
  EXPECT_EQ(frames.back().func, "main.main");
  EXPECT_TRUE(symbols_.at(7, kBias + 1).empty());
}

TEST_F(LiveSymbolizerTest, AddressesOutsideGiveNoNames) {
  EXPECT_EQ(symbols_.stack(7, {0x10})[0].func, "?");
  EXPECT_EQ(symbols_.stack(7, {~0ull})[0].func, "?");
  EXPECT_EQ(symbols_.type_name(7, 0x10), "");
  EXPECT_EQ(symbols_.type_name(7, ~0ull), "");
}

TEST_F(LiveSymbolizerTest, WhatIsKnownOfABinaryOutlastsItsProcessesButNotItself) {
  const std::uint64_t pc = entry("main.main");
  symbols_.stack(7, {pc});
  const std::size_t bytes = symbols_.cache_bytes();
  ASSERT_GT(bytes, 0U);
  symbols_.forget_process(7);
  symbols_.add_process(8, held_, kBias);
  symbols_.stack(8, {pc});
  EXPECT_EQ(symbols_.cache_bytes(), bytes);
  symbols_.forget_process(8);
  held_.reset();
  const auto other = std::make_shared<elf::HeldBinary>(std::shared_ptr<const elf::GoBinary>(loaded_, &loaded_->binary));
  symbols_.add_process(9, other, kBias);
  EXPECT_EQ(symbols_.cache_bytes(), 0U);
}

TEST_F(LiveSymbolizerTest, ProcessesOfOneBinaryShareTheCache) {
  const std::uint64_t assign = entry("runtime.mapassign_faststr");
  symbols_.stack(7, {assign});
  const std::size_t bytes = symbols_.cache_bytes();
  EXPECT_GT(bytes, 0u);
  symbols_.add_process(8, held_, 2 * kBias);
  EXPECT_EQ(symbols_.stack(8, {assign + kBias})[0].func, "runtime.mapassign_faststr");
  EXPECT_EQ(symbols_.cache_bytes(), bytes);
  symbols_.forget_process(8);
  EXPECT_EQ(symbols_.stack(8, {assign + kBias})[0].func, "?");
}

}  // namespace
}  // namespace mapwatch::symbolize
