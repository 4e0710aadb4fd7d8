#include "base/log.h"

#include <gtest/gtest.h>

namespace mapwatch::log {
namespace {

TEST(Log, ErrorWithAndWithoutHint) {
  EXPECT_EQ(error_text({ErrorKind::kFailed, "cannot open x: gone", ""}), "mapwatch: cannot open x: gone\n");
  EXPECT_EQ(error_text({ErrorKind::kUsage, "no", "do y"}), "mapwatch: no\n  hint: do y\n");
}

TEST(Log, ExitStatusByKind) {
  EXPECT_EQ(exit_status(ErrorKind::kFailed), 1);
  EXPECT_EQ(exit_status(ErrorKind::kUsage), 2);
  EXPECT_EQ(exit_status(ErrorKind::kUnsupported), 3);
  EXPECT_EQ(exit_status(ErrorKind::kMalformed), 3);
  EXPECT_EQ(exit_status(ErrorKind::kGone), 1);
  EXPECT_EQ(exit_status(ErrorKind::kPermission), 1);
}

TEST(Log, LevelsFollowQuietAndVerbose) {
  const auto written = [](bool quiet, int verbose) {
    init(quiet, verbose);
    testing::internal::CaptureStderr();
    debug("d{}", 1);
    info("i{}", 2);
    warn("w{}", 3);
    print_error({ErrorKind::kFailed, "e4", ""});
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(written(false, 0), "mapwatch: i2\nmapwatch: w3\nmapwatch: e4\n");
  EXPECT_EQ(written(true, 0), "mapwatch: e4\n");
  EXPECT_EQ(written(false, 1), "mapwatch: [debug] d1\nmapwatch: [info] i2\nmapwatch: [warning] w3\nmapwatch: e4\n");
}

}  // namespace
}  // namespace mapwatch::log
