// Files that are not what they should be: each is refused with an error that names what was found, or read with bounds
// that hold. The tiny program they are made from is read first, so that a refusal is due to the one thing spoiled.
#include <elf.h>
#include <gtest/gtest.h>

#include <string>

#include "elf/go_binary.h"
#include "elf/tiny_go.h"

namespace mapwatch::elf {
namespace {

using test::TinyGo;

Error refused(const TinyGo& program) {
  const auto binary = GoBinary::parse(program.view());
  EXPECT_FALSE(binary);
  return binary ? Error{} : binary.error();
}

testing::AssertionResult refuses(const TinyGo& program, ErrorKind kind, std::string_view text) {
  const auto binary = GoBinary::parse(program.view());
  if (binary) {
    return testing::AssertionFailure() << "read it";
  }
  if (binary.error().kind != kind || binary.error().message.find(text) == std::string::npos) {
    return testing::AssertionFailure() << "kind " << static_cast<int>(binary.error().kind) << ": "
                                       << binary.error().message;
  }
  return testing::AssertionSuccess();
}

/// Everything a caller can ask, to let the sanitizers see the reads.
void ask_everything(const GoBinary& binary) {
  for (std::uint64_t at = 0; at < TinyGo::kSize; at += 40) {
    const std::uint64_t address = TinyGo::kBase + at;
    (void)binary.frames(address);
    (void)binary.type_name(address);
    (void)binary.code(address, address + 16);
    (void)binary.file_offset(address);
    (void)binary.at(address);
  }
  (void)binary.find("main.main");
}

TEST(TinyGo, IsReadAsWritten) {
  const TinyGo program;
  const auto binary = GoBinary::parse(program.view());
  ASSERT_TRUE(binary) << binary.error().message;
  EXPECT_EQ(binary->version().text, "go1.22.12");
  EXPECT_EQ(binary->map_kind(), MapKind::kBuckets);
  EXPECT_EQ(binary->main_path(), "example.com/tiny");
  EXPECT_TRUE(binary->traits().race);
  EXPECT_TRUE(binary->traits().stripped);
  EXPECT_EQ(binary->offsets().source, OffsetSource::kTable);
  EXPECT_EQ(binary->first_load_address(), TinyGo::kBase);
  ASSERT_EQ(binary->functions().size(), 2U);
  EXPECT_EQ(binary->find("runtime.mapassign_faststr")->entry, TinyGo::kBase + TinyGo::kAssign);
  EXPECT_EQ(binary->file_offset(TinyGo::kBase + TinyGo::kMain), TinyGo::kMain);
  EXPECT_FALSE(binary->at(TinyGo::kBase + TinyGo::kTextEnd));
  EXPECT_EQ(*binary->type_name(TinyGo::kBase + TinyGo::kMapType), "map[string]int");

  const auto own = binary->frames(TinyGo::kBase + TinyGo::kMain + 40);
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(own[0].func, "main.main");
  EXPECT_EQ(own[0].file, "/src/main.go");
  EXPECT_EQ(own[0].line, 11);
  const auto inlined = binary->frames(TinyGo::kBase + TinyGo::kMain + 20);
  ASSERT_EQ(inlined.size(), 2U);
  EXPECT_EQ(inlined[0].func, "main.inner[...]");
  EXPECT_EQ(inlined[0].line, 20);
  EXPECT_TRUE(inlined[0].inlined);
  EXPECT_EQ(inlined[1].line, 10);
  EXPECT_FALSE(inlined[1].inlined);
}

TEST(BadInput, OtherFilesAreNamed) {
  EXPECT_TRUE(refuses(TinyGo().put_text(0, "#!/bin/sh\n"), ErrorKind::kMalformed, "not an ELF file"));
  EXPECT_TRUE(refuses(TinyGo().put(EI_CLASS, std::uint8_t{ELFCLASS32}), ErrorKind::kUnsupported, "32-bit"));
  EXPECT_TRUE(refuses(TinyGo().put(EI_DATA, std::uint8_t{ELFDATA2MSB}), ErrorKind::kUnsupported, "big-endian"));
  EXPECT_TRUE(refuses(TinyGo().put(18, std::uint16_t{EM_AARCH64}), ErrorKind::kUnsupported, "arm64"));
  EXPECT_TRUE(refuses(TinyGo().put(18, std::uint16_t{9999}), ErrorKind::kUnsupported, "9999"));
  EXPECT_TRUE(refuses(TinyGo().put(16, std::uint16_t{ET_REL}), ErrorKind::kMalformed, "not a program"));
  EXPECT_TRUE(refuses(TinyGo().put(16, std::uint16_t{ET_CORE}), ErrorKind::kMalformed, "not a program"));
}

TEST(BadInput, NotGoIsSaid) {
  EXPECT_TRUE(
      refuses(TinyGo().put(TinyGo::kBuildInfo, std::uint64_t{0}), ErrorKind::kMalformed, "not a program built by Go"));
  EXPECT_TRUE(refuses(TinyGo().put(TinyGo::kPclntab, std::uint64_t{0}), ErrorKind::kMalformed, "no Go pclntab"));
}

TEST(BadInput, PackedIsSaidWithTheRemedy) {
  TinyGo program;
  program.put_text(64 + 3 * 56 + 4, "UPX!");
  const Error error = refused(program);
  EXPECT_EQ(error.kind, ErrorKind::kMalformed);
  EXPECT_NE(error.message.find("UPX"), std::string::npos);
  EXPECT_NE(error.hint.find("upx -d"), std::string::npos);
}

TEST(BadInput, OldGoIsRefusedByName) {
  const Error error = refused(TinyGo("go1.16.15"));
  EXPECT_EQ(error.kind, ErrorKind::kUnsupported);
  EXPECT_EQ(error.message, "go1.16.15 is older than 1.17: its map functions take arguments on the stack");
  EXPECT_FALSE(error.hint.empty());
  EXPECT_TRUE(refuses(TinyGo("unknown"), ErrorKind::kMalformed, "no Go version"));
  EXPECT_TRUE(refuses(TinyGo("go1."), ErrorKind::kMalformed, "no Go version"));
}

TEST(BadInput, NewGoIsReadAndUnverified) {
  const TinyGo program("go1.99.1");
  // moduledata's layout is the newest known, which this file does not have: functions work, types do not.
  const auto binary = GoBinary::parse(program.view());
  ASSERT_TRUE(binary) << binary.error().message;
  EXPECT_TRUE(binary->unverified());
  EXPECT_EQ(binary->offsets().source, OffsetSource::kUnverified);
  EXPECT_TRUE(binary->find("main.main"));

  const TinyGo snapshot("go1.22-20250209-RC00 +ff27d270c9");
  const auto between = GoBinary::parse(snapshot.view());
  ASSERT_TRUE(between);
  EXPECT_TRUE(between->unverified());
}

TEST(BadInput, EveryTruncationIsRefused) {
  TinyGo program;
  const std::vector<std::byte> whole = program.bytes();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    const auto binary = GoBinary::parse(Bytes(part.data(), part.size()));
    EXPECT_FALSE(binary) << length;
    EXPECT_FALSE(read_build_info(Bytes(part.data(), part.size()))) << length;
  }
}

TEST(BadInput, TruncatedFileIsCalledTruncated) {
  TinyGo program;
  program.bytes().resize(TinyGo::kSize - 1);
  EXPECT_TRUE(refuses(program, ErrorKind::kMalformed, "truncated"));
}

TEST(BadInput, EveryByteSpoiledIsSafe) {
  TinyGo program;
  for (std::size_t at = 0; at < program.bytes().size(); ++at) {
    const std::byte kept = program.bytes()[at];
    for (const unsigned value : {0x00U, 0xffU, 0x80U, 0x7fU}) {
      program.bytes()[at] = static_cast<std::byte>(value);
      if (const auto binary = GoBinary::parse(program.view()); binary && value != 0) {
        ask_everything(*binary);
      }
    }
    program.bytes()[at] = kept;
  }
}

TEST(BadInput, CorruptPclntabIsRefused) {
  const std::uint64_t header = TinyGo::kPclntab + 8;
  EXPECT_TRUE(refuses(TinyGo().put(header, std::uint64_t{0}), ErrorKind::kMalformed, "0 functions"));
  EXPECT_TRUE(refuses(TinyGo().put(header, ~std::uint64_t{0}), ErrorKind::kMalformed, "do not fit"));
  EXPECT_TRUE(refuses(TinyGo().put(header, std::uint64_t{1} << 62), ErrorKind::kMalformed, "do not fit"));
  EXPECT_TRUE(
      refuses(TinyGo().put(header + 16, std::uint64_t{0x10}), ErrorKind::kMalformed, "outside of the program's code"));
  for (const std::uint64_t field : {24, 32, 40, 48, 56}) {
    EXPECT_TRUE(
        refuses(TinyGo().put(header + field, ~std::uint64_t{0}), ErrorKind::kMalformed, "outside of its segment"));
    EXPECT_TRUE(
        refuses(TinyGo().put(header + field, std::uint64_t{1} << 40), ErrorKind::kMalformed, "outside of its segment"));
  }
  EXPECT_TRUE(refuses(TinyGo().put(TinyGo::kFunctions + 8, std::uint32_t{128}), ErrorKind::kMalformed, "out of order"));
  EXPECT_TRUE(refuses(TinyGo().put(TinyGo::kFunctions + 16, std::uint32_t{1} << 30), ErrorKind::kMalformed, "code"));
  EXPECT_TRUE(refuses(TinyGo().put(TinyGo::kFunctions + 4, ~std::uint32_t{0}), ErrorKind::kMalformed, "no name"));
  EXPECT_TRUE(refuses(TinyGo().put(TinyGo::kMainFunc + 4, std::int32_t{-1}), ErrorKind::kMalformed, "no name"));
  EXPECT_TRUE(refuses(TinyGo().put(TinyGo::kMainFunc + 4, std::int32_t{0x7fffffff}), ErrorKind::kMalformed, "no name"));
}

TEST(BadInput, InlineChainThatNamesItselfEnds) {
  TinyGo program;
  program.put(TinyGo::kInlineTree + 8, std::uint32_t{20});  // the call stands within the code that it inlines
  const auto binary = GoBinary::parse(program.view());
  ASSERT_TRUE(binary);
  const auto frames = binary->frames(TinyGo::kBase + TinyGo::kMain + 20);
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].func, "main.inner[...]");
  EXPECT_EQ(frames[1].func, "main.main");
}

TEST(BadInput, InlineTreeOutsideOfTheFileGivesThePhysicalFrame) {
  TinyGo program;
  program.put(TinyGo::kMainFunc + 68, std::uint32_t{0x7ffffff0});
  const auto binary = GoBinary::parse(program.view());
  ASSERT_TRUE(binary);
  const auto frames = binary->frames(TinyGo::kBase + TinyGo::kMain + 20);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].func, "main.main");
}

TEST(BadInput, ValueTableWithoutEndIsBounded) {
  TinyGo program;
  // Every entry says: one more, no code. No pc is ever reached.
  for (std::uint64_t at = TinyGo::kValues + 1; at < TinyGo::kFunctions; at += 2) {
    program.put(at, std::uint8_t{2}).put(at + 1, std::uint8_t{0});
  }
  const auto binary = GoBinary::parse(program.view());
  ASSERT_TRUE(binary);
  const auto frames = binary->frames(TinyGo::kBase + TinyGo::kMain);
  ASSERT_FALSE(frames.empty());
  EXPECT_EQ(frames[0].file, "?");
}

TEST(BadInput, TypesOutsideAreRefused) {
  const std::uint64_t type = TinyGo::kBase + TinyGo::kMapType;
  const auto name_with = [&](TinyGo program) {
    const auto binary = GoBinary::parse(program.view());
    EXPECT_TRUE(binary);
    return binary->type_name(type);
  };
  EXPECT_TRUE(name_with(TinyGo()));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kMapType + 23, std::uint8_t{0})));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kMapType + 23, std::uint8_t{27})));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kMapType + 40, std::int32_t{0})));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kMapType + 40, std::int32_t{-8})));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kMapType + 40, std::int32_t{0x7fffffff})));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kTypeName + 1, std::uint8_t{0})));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kTypeName + 1, std::uint32_t{0xffffffff})));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kTypeName + 2, 'x')));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kModule + 304, ~std::uint64_t{0})));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kModule + 304, TinyGo::kBase)));
  EXPECT_FALSE(name_with(TinyGo().put(TinyGo::kModule, std::uint64_t{0})));
  const TinyGo program;
  const auto binary = GoBinary::parse(program.view());
  ASSERT_TRUE(binary);
  EXPECT_FALSE(binary->type_name(type + 1));
  EXPECT_FALSE(binary->type_name(TinyGo::kBase + TinyGo::kInlineTree - 8));
  EXPECT_FALSE(binary->type_name(~std::uint64_t{7}));
}

TEST(BadInput, EmbeddedProgramsTableIsNotTaken) {
  // A table copied in front of the real one, as a go:embed of another program would bring: moduledata decides.
  TinyGo program;
  constexpr std::uint64_t kCopy = 0x500;
  program.put(kCopy, std::uint64_t{0x08010000fffffff1});
  const auto binary = GoBinary::parse(program.view());
  ASSERT_TRUE(binary) << binary.error().message;
  EXPECT_TRUE(binary->find("main.main"));
}

}  // namespace
}  // namespace mapwatch::elf
