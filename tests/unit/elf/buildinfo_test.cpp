// Go versions and build info, in both formats.
#include <gtest/gtest.h>

#include "elf/buildinfo.h"
#include "elf/tiny_go.h"

namespace mapwatch::elf {
namespace {

using test::TinyGo;

void expect_version(std::string_view text, int minor, int patch, bool development = false) {
  const auto version = parse_version(text);
  ASSERT_TRUE(version) << text;
  EXPECT_EQ(version->minor, minor) << text;
  EXPECT_EQ(version->patch, patch) << text;
  EXPECT_EQ(version->development, development) << text;
  EXPECT_EQ(version->text, text);
}

TEST(Version, IsReadInAllItsForms) {
  expect_version("go1.22.12", 22, 12);
  expect_version("go1.20", 20, 0);
  expect_version("go1.24.13 X:noswissmap", 24, 13);
  expect_version("go1.27rc2", 27, 0);
  expect_version("go1.19.8", 19, 8);
  expect_version("go1.22.5-fips", 22, 5);
  expect_version("devel go1.28-8e63aa6 Tue Nov 3", 28, 0, true);
  expect_version("go1.25-20250209-RC00 cl/724970549", 25, 0, true);
  for (const std::string_view none :
       {"", "unknown", "go2.1", "go1.", "go1.x", "go1.-5", "go1.99999999999", "devel +abc"}) {
    EXPECT_FALSE(parse_version(none)) << none;
  }
}

TEST(BuildInfo, ReadsPathAndSettings) {
  const TinyGo program;
  const auto info = read_build_info(program.view());
  ASSERT_TRUE(info);
  EXPECT_EQ(info->path, "example.com/tiny");
  ASSERT_EQ(info->settings.size(), 2U);
  EXPECT_EQ(info->settings[0], (std::pair<std::string, std::string>("-race", "true")));
  EXPECT_EQ(info->settings[1], (std::pair<std::string, std::string>("GOFLAGS", "a b")));
}

/// Up to Go 1.17: pointers to Go strings at +16 and +24.
TinyGo with_pointers() {
  TinyGo program("go1.22.12");
  constexpr std::uint64_t kAt = TinyGo::kBuildInfo;
  program.put(kAt + 15, std::uint8_t{0});
  program.put(kAt + 16, TinyGo::kBase + kAt + 0x100).put(kAt + 24, TinyGo::kBase + kAt + 0x110);
  program.put(kAt + 0x100, TinyGo::kBase + kAt + 0x120).put(kAt + 0x108, std::uint64_t{9});
  program.put(kAt + 0x110, TinyGo::kBase + kAt + 0x130).put(kAt + 0x118, std::uint64_t{38});
  program.put_text(kAt + 0x120, "go1.17.13")
      .put_text(kAt + 0x130, std::string(16, '#') + "path\t\n" + std::string(16, '#'));
  return program;
}

TEST(BuildInfo, FollowsPointers) {
  const auto info = read_build_info(with_pointers().view());
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->version.text, "go1.17.13");
  EXPECT_EQ(info->version.minor, 17);
}

TEST(BuildInfo, RefusesPointersAndLengthsOutside) {
  constexpr std::uint64_t kAt = TinyGo::kBuildInfo;
  EXPECT_FALSE(read_build_info(with_pointers().put(kAt + 16, std::uint64_t{8}).view()));
  EXPECT_FALSE(read_build_info(with_pointers().put(kAt + 0x100, ~std::uint64_t{0}).view()));
  EXPECT_FALSE(read_build_info(with_pointers().put(kAt + 0x108, ~std::uint64_t{0}).view()));
  EXPECT_FALSE(read_build_info(with_pointers().put(kAt + 14, std::uint8_t{4}).view())) << "32-bit pointers";
  EXPECT_TRUE(read_build_info(with_pointers().put(kAt + 0x118, ~std::uint64_t{0}).view())) << "modules are optional";
  EXPECT_FALSE(read_build_info(TinyGo().put(kAt + 32, std::uint8_t{0xff}).put(kAt + 33, ~std::uint64_t{0}).view()));
  EXPECT_FALSE(read_build_info(TinyGo().put(kAt + 32, std::uint8_t{0}).view()));
}

}  // namespace
}  // namespace mapwatch::elf
