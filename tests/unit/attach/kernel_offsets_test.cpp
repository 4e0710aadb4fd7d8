#include "attach/kernel_offsets.h"

#include <filesystem>

#include <gtest/gtest.h>

namespace mapwatch::attach {
namespace {

// include/linux/sched.h: `pid_t pid; pid_t tgid;`, and two unsigned longs in a row.
TEST(KernelOffsets, OfTheKernelThatRuns) {
  const mw_kernel_offsets found = kernel_offsets();
  if (!std::filesystem::exists("/sys/kernel/btf/vmlinux")) {
    EXPECT_EQ(found.known, 0U);
    EXPECT_EQ(found.cfs_rq, 0U);
    return;
  }
  ASSERT_EQ(found.known, 1U);
  EXPECT_EQ(found.tgid, found.pid + 4);
  EXPECT_EQ(found.nivcsw, found.nvcsw + 8);
  EXPECT_GT(found.on_cpu, 0U);
  EXPECT_NE(found.on_cpu, found.pid);
  EXPECT_EQ(found.cfs_rq == 0, found.runnable == 0);
}

}  // namespace
}  // namespace mapwatch::attach
