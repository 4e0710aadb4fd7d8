// Offsets from DWARF, and the table where DWARF is broken or absent.
#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "elf/debug_section.h"
#include "elf/dwarf.h"
#include "elf/go_program.h"
#include "elf/image.h"
#include "elf/mapped_file.h"

namespace mapwatch::elf {
namespace {

class DwarfTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto file = MappedFile::open(test::built_program(test::build_mode("plain")));
    ASSERT_TRUE(file);
    const auto all = file->bytes().span();
    bytes_.assign(all.begin(), all.end());
    const auto binary = GoBinary::parse(view());
    ASSERT_TRUE(binary);
    kind_ = binary->map_kind();
    expected_ = binary->offsets();
    ASSERT_EQ(expected_.source, OffsetSource::kDwarf);
  }

  Bytes view() const { return Bytes(bytes_.data(), bytes_.size()); }
  /// The section without its prefix: ".debug_" or, before Go 1.19, ".zdebug_".
  Section section(const std::string& name) const {
    const Image image = *Image::parse(view());
    const Section* found = image.section(".debug_" + name);
    return *(found != nullptr ? found : image.section(".zdebug_" + name));
  }
  std::optional<Offsets> read(const Offsets& table = {}) const {
    return dwarf_offsets(*Image::parse(view()), kind_, table);
  }

  std::vector<std::byte> bytes_;
  MapKind kind_ = MapKind::kBuckets;
  Offsets expected_;
};

TEST_F(DwarfTest, NeedsNothingOfTheTable) {
  const auto offsets = read();
  ASSERT_TRUE(offsets);
  EXPECT_EQ(offsets->g_goid, expected_.g_goid);
  EXPECT_EQ(offsets->m_curg, expected_.m_curg);
  EXPECT_EQ(offsets->map_mark, expected_.map_mark);
  EXPECT_EQ(offsets->map_seed, expected_.map_seed);
  EXPECT_EQ(offsets->iter_map, expected_.iter_map);
  EXPECT_NE(offsets->iter_map, 0U);
}

TEST_F(DwarfTest, ZeroedSectionsGiveNone) {
  for (const char* name : {"info", "abbrev"}) {
    const std::vector<std::byte> kept = bytes_;
    const Section spoiled = section(name);
    // The compression header stays, so that the data itself is what is broken.
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(spoiled.offset + 24), spoiled.size - 24, std::byte{0});
    EXPECT_FALSE(read()) << name;
    const auto binary = GoBinary::parse(view());
    ASSERT_TRUE(binary);
    EXPECT_EQ(binary->offsets().source, OffsetSource::kTable);
    EXPECT_EQ(binary->offsets().g_goid, expected_.g_goid);
    bytes_ = kept;
  }
}

TEST_F(DwarfTest, ASectionBeyondTheFileGivesNone) {
  const auto header = *view().read<Elf64_Ehdr>(0);
  const std::uint64_t info = section("info").offset;
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    const std::uint64_t at = header.e_shoff + i * sizeof(Elf64_Shdr);
    auto raw = *view().read<Elf64_Shdr>(at);
    if (raw.sh_offset == info) {
      raw.sh_size = ~std::uint64_t{0};
      std::memcpy(bytes_.data() + at, &raw, sizeof(raw));
    }
  }
  EXPECT_FALSE(read());
  EXPECT_TRUE(GoBinary::parse(view()));
}

TEST_F(DwarfTest, SpoiledBytesAreSafe) {
  const Section info = section("info");
  const Section abbrev = section("abbrev");
  for (std::uint64_t i = 1; i < 64; ++i) {
    for (const Section& one : {info, abbrev}) {
      const std::uint64_t at = one.offset + 24 + (one.size - 24) / 64 * i;
      const std::byte kept = bytes_[at];
      bytes_[at] = ~kept;
      if (const auto offsets = read(expected_)) {
        EXPECT_LT(offsets->g_goid, 1U << 16);
      }
      bytes_[at] = kept;
    }
  }
}

TEST_F(DwarfTest, OnlyAVersionWithoutATableIsWorthALongSearch) {
  // A unit of 5 MiB of nothing in front of the program's own, as the types of many packages are; uncompressed.
  constexpr std::uint32_t kSize = 5 << 20;
  std::vector<std::byte> info(kSize);
  const std::uint32_t length = kSize - 4;
  std::memcpy(info.data(), &length, sizeof(length));
  info[4] = std::byte{4};   // version
  info[10] = std::byte{8};  // size of an address
  const Section old = section("info");
  DebugSection::open(*Image::parse(view()), "info")->read(64 << 20, info);
  const auto header = *view().read<Elf64_Ehdr>(0);
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    const std::uint64_t at = header.e_shoff + i * sizeof(Elf64_Shdr);
    auto raw = *view().read<Elf64_Shdr>(at);
    if (raw.sh_offset == old.offset) {
      raw.sh_offset = bytes_.size();
      raw.sh_size = info.size();
      raw.sh_flags &= ~std::uint64_t{SHF_COMPRESSED};
      std::memcpy(bytes_.data() + at, &raw, sizeof(raw));
    }
  }
  bytes_.insert(bytes_.end(), info.begin(), info.end());
  Offsets table;
  EXPECT_FALSE(read(table));
  table.source = OffsetSource::kUnverified;
  const auto offsets = read(table);
  ASSERT_TRUE(offsets);
  EXPECT_EQ(offsets->source, OffsetSource::kDwarf);
  EXPECT_EQ(offsets->g_goid, expected_.g_goid);
  EXPECT_EQ(GoBinary::parse(view())->offsets().source, OffsetSource::kTable);
}

}  // namespace
}  // namespace mapwatch::elf
