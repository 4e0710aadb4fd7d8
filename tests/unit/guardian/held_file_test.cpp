#include "guardian/held_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "base/temp_dir.h"

namespace mapwatch::guardian {
namespace {

HeldRecord record() {
  HeldRecord out;
  out.process = {4211, 987654};
  out.boot_id = "b1f0c2d4-0000-4444-8888-123456789abc";
  out.exe_dev = 2049;
  out.exe_inode = 1234567;
  out.owner = {99, 1000};
  out.guardian = {100, 1001};
  out.sites = {0x43f20a, 0x55d0c0ffee00};
  return out;
}

TEST(HeldRecord, SaysAgainWhatWasWritten) {
  const auto parsed = parse_held(encode(record()));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->process, record().process);
  EXPECT_EQ(parsed->boot_id, record().boot_id);
  EXPECT_EQ(parsed->exe_dev, 2049u);
  EXPECT_EQ(parsed->exe_inode, 1234567u);
  EXPECT_EQ(parsed->owner, record().owner);
  EXPECT_EQ(parsed->guardian, record().guardian);
  EXPECT_EQ(parsed->sites, record().sites);
}

TEST(HeldRecord, AGuardianThatIsNotKnownIsNoDamage) {
  HeldRecord without = record();
  without.guardian = {};
  const auto parsed = parse_held(encode(without));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->guardian, ProcessKey{});
}

TEST(HeldRecord, EveryTruncationIsRefused) {
  const std::string whole = encode(record());
  const std::size_t first_site = whole.find("site ");
  for (std::size_t size = 0; size < first_site; ++size) {
    // A cut at the end of a line that is not needed is a shorter record; before the owner it is none.
    if (whole[size == 0 ? 0 : size - 1] != '\n' || size < whole.find("owner")) {
      EXPECT_FALSE(parse_held(whole.substr(0, size))) << size;
    }
  }
}

TEST(HeldRecord, LinesThatNobodyWroteAreRefused) {
  const std::string good = encode(record());
  for (const char* line : {"process 0 5\n", "process -3 5\n", "process 12\n", "exe 1\n", "boot\n", "site xyz\n",
                           "site 1 2\n", "surprise 1\n", "\n", "owner 1 2 3\n"}) {
    EXPECT_FALSE(parse_held(good + line)) << line;
  }
  EXPECT_FALSE(parse_held("mapwatch-held 2\n" + good.substr(good.find('\n') + 1)));
  std::string many = good;
  for (int i = 0; i < 100; ++i) {
    many += "site 1000\n";
  }
  EXPECT_FALSE(parse_held(many)) << "more sites than a binary can have";
}

TEST(HeldFile, StandsWhileItIsHeldAndIsNobodyElsesToRead) {
  const test::TempDir dir;
  std::string path;
  {
    auto file = HeldFile::write(dir.path(), record());
    ASSERT_TRUE(file) << file.error().message;
    path = file->path();
    struct stat info = {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
    EXPECT_EQ(list_held(dir.path()), std::vector<std::string>{path});

    HeldRecord changed = record();
    changed.guardian = {555, 7};
    ASSERT_TRUE(file->rewrite(changed));
    const auto again = read_held(path);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->guardian, changed.guardian);
    const HeldFile moved = std::move(*file);
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << "moved, not removed";
  }
  EXPECT_TRUE(list_held(dir.path()).empty());
}

TEST(HeldFile, ALinkOrADirectoryIsNotRead) {
  const test::TempDir dir;
  dir.write("real", encode(record()));
  dir.link("1-2.held", dir.file("real"));
  EXPECT_FALSE(read_held(dir.file("1-2.held")));
  EXPECT_FALSE(read_held(dir.path()));
  EXPECT_FALSE(read_held(dir.file("none")));
  EXPECT_TRUE(read_held(dir.file("real")));
}

TEST(HeldFile, NoRunDirectoryHoldsNothing) { EXPECT_TRUE(list_held("/does/not/exist").empty()); }

}  // namespace
}  // namespace mapwatch::guardian
