#include "base/file_lease.h"

#include <fcntl.h>
#include <signal.h>

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "base/temp_dir.h"

namespace mapwatch {
namespace {

class FileLeaseTest : public testing::Test {
 protected:
  FileLeaseTest() : path_(dir_.path() + "/file") {
    ::signal(SIGIO, SIG_IGN);
    std::ofstream(path_) << "old";
  }
  test::TempDir dir_;
  std::string path_;
};

TEST_F(FileLeaseTest, WriterWaitsUntilItIsGivenBack) {
  auto lease = FileLease::take(path_);
  if (!lease) {
    GTEST_SKIP() << lease.error().message;
  }
  EXPECT_FALSE(lease->writer_waits());
  std::atomic<bool> written = false;
  std::thread writer([&] {
    std::ofstream(path_) << "new";
    written = true;
  });
  while (!lease->writer_waits()) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(written);
  { const FileLease gone = std::move(*lease); }
  writer.join();
  EXPECT_TRUE(written);
}

TEST_F(FileLeaseTest, ReadersDoNotWait) {
  const auto lease = FileLease::take(path_);
  if (!lease) {
    GTEST_SKIP() << lease.error().message;
  }
  std::string text;
  std::ifstream(path_) >> text;
  EXPECT_EQ(text, "old");
  EXPECT_FALSE(lease->writer_waits());
}

TEST_F(FileLeaseTest, FileThatIsOpenForWritingHasNone) {
  const UniqueFd writer(::open(path_.c_str(), O_WRONLY));
  EXPECT_FALSE(FileLease::take(path_));
  EXPECT_FALSE(FileLease::take(dir_.path() + "/nowhere"));
}

}  // namespace
}  // namespace mapwatch
