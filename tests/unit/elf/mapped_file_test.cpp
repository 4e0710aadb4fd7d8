// MappedFile: what can be mapped, and a file that shrinks under the mapping.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <utility>

#include "base/temp_dir.h"
#include "elf/mapped_file.h"

namespace mapwatch::elf {
namespace {

TEST(MappedFile, MapsAFileAndMoves) {
  const test::TempDir dir;
  dir.write("file", "content");
  auto file = MappedFile::open(dir.file("file"));
  ASSERT_TRUE(file);
  MappedFile moved = std::move(*file);
  EXPECT_EQ(moved.bytes().text(), "content");
  EXPECT_TRUE(file->bytes().empty());
  dir.write("other", "more");
  auto other = MappedFile::open(dir.file("other"));
  ASSERT_TRUE(other);
  moved = std::move(*other);
  EXPECT_EQ(moved.bytes().text(), "more");
}

TEST(MappedFile, SaysWhatCannotBeMapped) {
  const test::TempDir dir;
  const auto missing = MappedFile::open(dir.file("missing"));
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find(dir.file("missing")), std::string::npos);
  const auto directory = MappedFile::open(dir.path());
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message.find("not a regular file"), std::string::npos);
  dir.write("empty", "");
  const auto empty = MappedFile::open(dir.file("empty"));
  ASSERT_FALSE(empty);
  EXPECT_NE(empty.error().message.find("is empty"), std::string::npos);
}

TEST(MappedFile, ReadsZerosWhereTheFileHasShrunk) {
  const test::TempDir dir;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  dir.write("file", std::string(8 * page, 'x'));
  const auto file = MappedFile::open(dir.file("file"));
  ASSERT_TRUE(file);
  ASSERT_EQ(file->bytes().read<char>(7 * page), 'x');
  ASSERT_EQ(truncate(dir.file("file").c_str(), static_cast<off_t>(page)), 0);
  EXPECT_EQ(file->bytes().read<char>(0), 'x');
  for (std::size_t at = page; at < 8 * page; at += page / 2) {
    EXPECT_EQ(file->bytes().read<char>(at), '\0') << at;
  }
}

TEST(MappedFileDeathTest, ABusErrorElsewhereStillKills) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto provoke = [] {
    const test::TempDir dir;
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    dir.write("guarded", std::string(page, 'x'));
    dir.write("other", std::string(page, 'x'));
    const auto guarded = MappedFile::open(dir.file("guarded"));
    FILE* file = fopen(dir.file("other").c_str(), "r");
    const auto* data = static_cast<const volatile char*>(mmap(nullptr, page, PROT_READ, MAP_PRIVATE, fileno(file), 0));
    if (!guarded || truncate(dir.file("other").c_str(), 0) != 0) {
      _exit(1);
    }
    (void)data[0];
    _exit(0);
  };
#if defined(__SANITIZE_ADDRESS__)
  EXPECT_DEATH(provoke(), "");
#else
  EXPECT_EXIT(provoke(), testing::KilledBySignal(SIGBUS), "");
#endif
}

}  // namespace
}  // namespace mapwatch::elf
