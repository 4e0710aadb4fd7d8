// Relocated words, sections and notes of position-independent files.
#include <elf.h>
#include <gtest/gtest.h>

#include <array>

#include "elf/image.h"
#include "elf/tiny_go.h"

namespace mapwatch::elf {
namespace {

using test::TinyGo;

constexpr std::uint64_t kDynamic = 0x1100;
constexpr std::uint64_t kRela = 0x1000;
constexpr std::uint64_t kSymbols = 0x10c0;
constexpr std::uint64_t kSlot = 0xf80;

/// The tiny program with a dynamic segment and relocations at kRela.
TinyGo with_relocations(const std::vector<Elf64_Rela>& relocations, std::uint64_t table = TinyGo::kBase + kRela) {
  TinyGo program;
  program.put(16, std::uint16_t{ET_DYN});
  program.put(56, std::uint16_t{4});
  Elf64_Phdr dynamic{};
  dynamic.p_type = PT_DYNAMIC;
  dynamic.p_offset = kDynamic;
  dynamic.p_vaddr = TinyGo::kBase + kDynamic;
  dynamic.p_filesz = dynamic.p_memsz = 0x60;
  program.put(TinyGo::kProgramHeaders + 3 * sizeof(Elf64_Phdr), dynamic);
  const std::array<std::uint64_t, 10> tags = {DT_RELA,    table,
                                              DT_RELASZ,  relocations.size() * sizeof(Elf64_Rela),
                                              DT_RELAENT, sizeof(Elf64_Rela),
                                              DT_SYMTAB,  TinyGo::kBase + kSymbols,
                                              DT_NULL,    0};
  program.put(kDynamic, tags);
  for (std::size_t i = 0; i < relocations.size(); ++i) {
    program.put(kRela + i * sizeof(Elf64_Rela), relocations[i]);
  }
  Elf64_Sym symbol{};
  symbol.st_value = 0x5000;
  program.put(kSymbols + sizeof(symbol), symbol);
  return program;
}

Elf64_Rela relative(std::uint64_t slot, std::int64_t value) {
  return {TinyGo::kBase + kSlot + 8 * slot, ELF64_R_INFO(0, R_X86_64_RELATIVE), value};
}

void expect_slots(const TinyGo& program, std::array<std::uint64_t, 4> expected) {
  const auto image = Image::parse(program.view());
  ASSERT_TRUE(image) << image.error().message;
  const auto words = image->words(TinyGo::kBase + kSlot, 4);
  ASSERT_TRUE(words);
  for (std::uint64_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ((*words)[i], expected[i]) << i;
    EXPECT_EQ(image->word(TinyGo::kBase + kSlot + 8 * i), expected[i]) << i;
  }
}

TEST(Image, AppliesRelocationsInAnyOrder) {
  TinyGo sorted = with_relocations({relative(0, 0x111), relative(2, 0x222)});
  sorted.put(kSlot + 8, std::uint64_t{7});
  expect_slots(sorted, {0x111, 7, 0x222, 0});
  expect_slots(with_relocations({relative(2, 0x222), relative(0, 0x111), relative(3, 0x333)}),
               {0x111, 0, 0x222, 0x333});
  const Elf64_Rela by_symbol = {TinyGo::kBase + kSlot, ELF64_R_INFO(1, R_X86_64_64), 0x10};
  const Elf64_Rela undefined = {TinyGo::kBase + kSlot + 8, ELF64_R_INFO(0, R_X86_64_64), 0x10};
  expect_slots(with_relocations({by_symbol, relative(2, 0x222), undefined}), {0x5010, 0, 0x222, 0});
}

TEST(Image, FindsRelocationsByTheirTarget) {
  const TinyGo program = with_relocations({relative(2, 0x222), relative(0, 0x111), relative(3, 0x222)});
  const auto image = Image::parse(program.view());
  ASSERT_TRUE(image);
  const auto targeting = [&](std::vector<std::uint64_t> targets, std::size_t limit) {
    return image->relocations().targeting(targets, limit).size();
  };
  EXPECT_EQ(targeting({0x222}, 9), 2U);
  EXPECT_EQ(targeting({0x222}, 1), 1U);
  EXPECT_EQ(targeting({0x221, 0x222, 0x999}, 9), 2U);
  EXPECT_EQ(targeting({0x999}, 9), 0U);
}

TEST(Image, RefusesRelocationTablesOutsideOfTheFile) {
  EXPECT_FALSE(Image::parse(with_relocations({relative(0, 1)}, TinyGo::kBase + TinyGo::kSize).view()));
  EXPECT_FALSE(Image::parse(with_relocations({relative(0, 1)}, TinyGo::kBase + TinyGo::kSize - 8).view()));
  EXPECT_FALSE(Image::parse(with_relocations({relative(0, 1)}, ~std::uint64_t{0}).view()));
  EXPECT_FALSE(Image::parse(with_relocations({relative(0, 1)}).put(kDynamic + 24, ~std::uint64_t{0}).view()));
  EXPECT_FALSE(Image::parse(with_relocations({relative(0, 1)}).put(kDynamic + 40, std::uint64_t{8}).view()));
  EXPECT_TRUE(Image::parse(with_relocations({relative(0, 1)}).view()));
}

TEST(Image, SegmentsBeyondTheFileAreRefused) {
  const std::uint64_t segment = TinyGo::kProgramHeaders;
  EXPECT_FALSE(Image::parse(TinyGo().put(segment + 8, ~std::uint64_t{0}).view()));
  EXPECT_FALSE(Image::parse(TinyGo().put(segment + 32, ~std::uint64_t{0}).view()));
  EXPECT_FALSE(Image::parse(TinyGo().put(segment + 16, ~std::uint64_t{0}).view()));
  EXPECT_FALSE(Image::parse(TinyGo().put(segment + 40, std::uint64_t{1}).view()));
  EXPECT_FALSE(Image::parse(TinyGo().put(56, std::uint16_t{0}).view()));
  EXPECT_FALSE(Image::parse(TinyGo().put(56, std::uint16_t{PN_XNUM}).view()));
  EXPECT_FALSE(Image::parse(TinyGo().put(32, ~std::uint64_t{0}).view()));
  EXPECT_FALSE(Image::parse(TinyGo().put(segment + 4, std::uint32_t{PF_R}).view())) << "no code";
}

TEST(Image, SectionHeadersBeyondTheFileAreRefused) {
  const auto with_sections = [](std::uint64_t at) {
    return TinyGo().put(40, at).put(58, std::uint16_t{64}).put(60, std::uint16_t{2});
  };
  EXPECT_TRUE(Image::parse(with_sections(0x1000).view()));
  EXPECT_FALSE(Image::parse(with_sections(TinyGo::kSize - 64).view()));
  EXPECT_FALSE(Image::parse(with_sections(~std::uint64_t{0}).view()));
}

TEST(Image, ReadsNotesAndEndsAtBrokenOnes) {
  TinyGo program;
  program.put(56, std::uint16_t{4});
  Elf64_Phdr notes{};
  notes.p_type = PT_NOTE;
  notes.p_offset = 0x1000;
  notes.p_filesz = notes.p_memsz = 0x40;
  program.put(TinyGo::kProgramHeaders + 3 * sizeof(Elf64_Phdr), notes);
  program.put(0x1000, Elf64_Nhdr{4, 3, 4}).put_text(0x100c, "Go").put_text(0x1010, "abc");
  program.put(0x1014, Elf64_Nhdr{4, 2, 3}).put_text(0x1020, "GNU").put_text(0x1024, "\x12\x34");
  const auto image = Image::parse(program.view());
  ASSERT_TRUE(image);
  EXPECT_EQ(image->note("Go", 4)->text(), "abc");
  EXPECT_EQ(image->note("GNU", NT_GNU_BUILD_ID)->text(), "\x12\x34");
  EXPECT_FALSE(image->note("GNU", 9));
  program.put(0x1000, Elf64_Nhdr{0xffffffff, 3, 4});
  EXPECT_FALSE(Image::parse(program.view())->note("GNU", NT_GNU_BUILD_ID));
}

constexpr std::uint64_t kMain = TinyGo::kBase + TinyGo::kMain;
constexpr std::uint64_t kAssign = TinyGo::kBase + TinyGo::kAssign;

/// Addresses of the pointers to `targets`, as offsets in the file.
std::vector<std::uint64_t> pointers(const TinyGo& program, const std::vector<std::uint64_t>& targets) {
  const auto binary = GoBinary::parse(program.view());
  EXPECT_TRUE(binary) << binary.error().message;
  const auto found = binary->pointers_to(targets);
  EXPECT_TRUE(found) << found.error().message;
  std::vector<std::uint64_t> out;
  for (const Pointer& pointer : *found) {
    out.push_back(pointer.address - TinyGo::kBase);
  }
  return out;
}

TEST(Pointers, AreFoundInTheDataAndOnceForEachTarget) {
  TinyGo program;
  program.put(kSlot, kAssign).put(kSlot + 8, kAssign).put(kSlot + 16, kMain).put(kSlot + 28, kMain);
  EXPECT_EQ(pointers(program, {kAssign}), (std::vector<std::uint64_t>{kSlot}));
  EXPECT_EQ(pointers(program, {kMain - 1, kMain + 1}), std::vector<std::uint64_t>());
  // main.main lies where the text begins, which moduledata says as well.
  EXPECT_EQ(pointers(program, {kMain, kAssign}), (std::vector<std::uint64_t>{TinyGo::kModule + 176, kSlot}));
  EXPECT_TRUE(pointers(program, {}).empty());
}

TEST(Pointers, CodeAndTablesOfFunctionsAreNotLookedAt) {
  TinyGo program;
  program.put(TinyGo::kMain + 40, kAssign)
      .put(TinyGo::kPclntab + 0x1f0, kAssign)
      .put(TinyGo::kFunctions + 0x80, kAssign);
  EXPECT_TRUE(pointers(program, {kAssign}).empty());
}

// The name of a type is an offset, the next word mostly zero: in a large program it may look like an address.
TEST(Pointers, NamesOfTypesAreNone) {
  const std::uint64_t value = TinyGo::kTypeName - TinyGo::kTypes;
  TinyGo program;
  EXPECT_TRUE(pointers(program, {value}).empty());
  EXPECT_EQ(pointers(program.put(kSlot, value), {value}), (std::vector<std::uint64_t>{kSlot}));
}

TEST(Pointers, OfPositionIndependentCodeAreRelocations) {
  TinyGo program = with_relocations({relative(2, static_cast<std::int64_t>(kAssign)), relative(0, 0x111)});
  program.put(kSlot + 8, kAssign);
  EXPECT_EQ(pointers(program, {kAssign}), (std::vector<std::uint64_t>{kSlot + 16})) << "nor is the relocation's addend";
  // DT_RELR entries have their addends in place.
  TinyGo packed = with_relocations({relative(0, 0x111)});
  packed.put(kSlot + 8, kAssign).put(kDynamic + 64, std::uint64_t{DT_RELR}).put(kDynamic + 80, std::uint64_t{DT_NULL});
  EXPECT_EQ(pointers(packed, {kAssign}), (std::vector<std::uint64_t>{kSlot + 8}));
}

}  // namespace
}  // namespace mapwatch::elf
