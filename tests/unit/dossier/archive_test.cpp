// Archives, read back with tar(1).
#include "dossier/archive.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "base/temp_dir.h"
#include "base/unique_fd.h"
#include "elf/go_program.h"

namespace mapwatch::dossier {
namespace {

class Archive : public testing::Test {
 protected:
  Result<void> write(const std::string& name, const std::string& text) const {
    const UniqueFd fd(::open(dir_.file(name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    auto writer = TRY(ArchiveWriter::create(fd.get(), name));
    TRY(writer.directory("x", 1'795'470'062));
    TRY(writer.file("x/a.txt", text, 1'795'470'062));
    TRY(writer.file("x/empty", "", 1'795'470'062));
    return writer.finish();
  }
  test::TempDir dir_;
};

TEST_F(Archive, TarReadsIt) {
  const std::string text(1'000'000, 'x');
  ASSERT_TRUE(write("a.tar.gz", text));
  EXPECT_EQ(test::output_of("TZ=UTC tar tvzf " + dir_.file("a.tar.gz")),
            "drwx------ 0/0               0 2026-11-23 21:41 x/\n"
            "-rw------- 0/0         1000000 2026-11-23 21:41 x/a.txt\n"
            "-rw------- 0/0               0 2026-11-23 21:41 x/empty\n");
  EXPECT_EQ(test::output_of("tar xOzf " + dir_.file("a.tar.gz") + " x/a.txt"), text);
}

TEST_F(Archive, TheSameFilesGiveTheSameBytes) {
  ASSERT_TRUE(write("a", "text"));
  ASSERT_TRUE(write("b", "text"));
  EXPECT_EQ(test::output_of("cmp " + dir_.file("a") + " " + dir_.file("b")), "");
  EXPECT_LT(std::filesystem::file_size(dir_.file("a")), 1000u) << "padded";
}

TEST_F(Archive, WhatWasNotFinishedDoesNotPassForWhole) {
  const UniqueFd fd(::open(dir_.file("cut").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  {
    auto writer = ArchiveWriter::create(fd.get(), "cut");
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->file("a", "text", 0));
  }
  EXPECT_THROW(test::output_of("tar tzf " + dir_.file("cut")), std::runtime_error);
}

TEST_F(Archive, AFullDiskIsSaid) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  auto writer = ArchiveWriter::create(full.get(), "stdout");
  ASSERT_TRUE(writer);
  Result<void> written = writer->file("a", "text", 0);
  if (written) {
    written = writer->finish();
  }
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("the archive to stdout: "), std::string::npos) << written.error().message;
  EXPECT_NE(written.error().message.find("No space left"), std::string::npos) << written.error().message;
}

}  // namespace
}  // namespace mapwatch::dossier
