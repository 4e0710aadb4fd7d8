#include "alert/journal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "base/unique_fd.h"

namespace mapwatch::alert {
namespace {

TEST(JournalStream, IsTheVeryFile) {
  const UniqueFd fd(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  struct stat info = {};
  ASSERT_EQ(::fstat(fd.get(), &info), 0);
  const std::string stream = std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino);
  EXPECT_TRUE(is_journal_stream(fd.get(), stream.c_str()));
  EXPECT_FALSE(is_journal_stream(fd.get(), nullptr)) << "nobody says so";
  EXPECT_FALSE(is_journal_stream(fd.get(), "")) << "nobody says so";
  EXPECT_FALSE(is_journal_stream(fd.get(), (stream + "0").c_str())) << "stderr was sent elsewhere";
  EXPECT_FALSE(is_journal_stream(-1, stream.c_str()));
}

}  // namespace
}  // namespace mapwatch::alert
