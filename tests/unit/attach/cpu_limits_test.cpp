#include "attach/cpu_limits.h"

#include <sched.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace mapwatch::attach {
namespace {

using test::TempDir;

/// A host with 8 CPUs and process 42 on it, nothing bounded.
class FakeHost {
 public:
  FakeHost() {
    dir.write("sys/devices/system/cpu/online", "0-7\n");
    thread(42, "ffffffff,ffffffff", 0);
    dir.write("proc/42/status", "Tgid:\t42\nCpus_allowed:\tffffffff,ffffffff\n");
    cgroup("0::/a/b\n");
  }
  void thread(int tid, const std::string& mask, int policy) const {
    const std::string base = "proc/42/task/" + std::to_string(tid);
    dir.write(base + "/status", "Tgid:\t42\nCpus_allowed:\t" + mask + "\n");
    dir.write(base + "/stat", std::to_string(tid) +
                                  " (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 0 0 0 0 0 0 0 "
                                  "0 0 0 0 0 17 0 0 " +
                                  std::to_string(policy) + " 0\n");
  }
  void cgroup(const std::string& text) const { dir.write("proc/42/cgroup", text); }
  CpuLimits limits() const {
    return read_cpu_limits(42, CpuSources{proc::ProcFs(dir.file("proc")), dir.file("sys")}).value();
  }
  TempDir dir;
};

TEST(CpuLimitsTest, NothingBoundsButTheMachine) {
  const CpuLimits limits = FakeHost().limits();
  EXPECT_EQ(limits.online, 8U);
  EXPECT_EQ(limits.affinity, 8U);  // 64 allowed, 8 there
  EXPECT_EQ(limits.quota, std::nullopt);
  EXPECT_EQ(limits.cpuset, std::nullopt);
  EXPECT_EQ(limits.gomaxprocs, std::nullopt);
  EXPECT_EQ(limits.effective(), 8U);
  EXPECT_TRUE(limits.may_dwell());
}

TEST(CpuLimitsTest, AffinityIsThatOfAllThreads) {
  const FakeHost host;
  host.dir.write("proc/42/status", "Tgid:\t42\nCpus_allowed:\t1\n");
  host.thread(42, "1", 0);
  EXPECT_EQ(host.limits().effective(), 1U);
  EXPECT_FALSE(host.limits().may_dwell());
  host.thread(43, "6", 0);
  EXPECT_EQ(host.limits().affinity, 3U);
}

TEST(CpuLimitsTest, QuotaIsRoundedUpAndParentsBindToo) {
  const FakeHost host;
  host.dir.write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(host.limits().quota, std::nullopt);
  host.dir.write("sys/fs/cgroup/a/cpu.max", "250000 100000\n");
  EXPECT_EQ(host.limits().quota, 3U);
  host.dir.write("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
  EXPECT_EQ(host.limits().quota, 1U);
  EXPECT_FALSE(host.limits().may_dwell());
}

TEST(CpuLimitsTest, QuotaOfTheFirstHierarchyVersion) {
  const FakeHost host;
  host.cgroup("4:cpuset:/s\n3:cpu,cpuacct:/a/b\n1:name=systemd:/x\n0::/\n");
  host.dir.write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
  host.dir.write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(host.limits().quota, std::nullopt);
  host.dir.write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n");
  host.dir.write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  host.dir.write("sys/fs/cgroup/cpuset/s/cpuset.effective_cpus", "1,4-6\n");
  EXPECT_EQ(host.limits().quota, 2U);
  EXPECT_EQ(host.limits().cpuset, 4U);
  EXPECT_EQ(host.limits().effective(), 2U);
}

TEST(CpuLimitsTest, CpusetOfTheSecondHierarchyVersion) {
  const FakeHost host;
  host.dir.write("sys/fs/cgroup/a/b/cpuset.cpus.effective", "2-4\n");
  EXPECT_EQ(host.limits().cpuset, 3U);
  host.dir.write("sys/fs/cgroup/a/b/cpuset.cpus.effective", "\n");  // none listed: no bound
  EXPECT_EQ(host.limits().cpuset, std::nullopt);
}

TEST(CpuLimitsTest, GomaxprocsOnlyWhereTheRuntimeWouldTakeIt) {
  const FakeHost host;
  const auto with = [&host](std::string_view environment) {
    host.dir.write("proc/42/environ", environment);
    return host.limits().gomaxprocs;
  };
  EXPECT_EQ(with(std::string_view("A=1\0GOMAXPROCS=1\0B=2\0", 21)), 1U);
  EXPECT_EQ(with("GOMAXPROCS=0"), std::nullopt);
  EXPECT_EQ(with("GOMAXPROCS=-2"), std::nullopt);
  EXPECT_EQ(with("GOMAXPROCS="), std::nullopt);
  EXPECT_EQ(with("GOMAXPROCS=2x"), std::nullopt);
  EXPECT_EQ(with("XGOMAXPROCS=1"), std::nullopt);
  EXPECT_EQ(with("GOMAXPROCS=99999999999999999999"), std::nullopt);
  EXPECT_EQ(with("GOMAXPROCS=64"), 64U);
  EXPECT_EQ(host.limits().effective(), 8U);
}

TEST(CpuLimitsTest, OneRealTimeThreadForbidsHolding) {
  const FakeHost host;
  EXPECT_FALSE(host.limits().realtime);
  host.thread(50, "ff", SCHED_FIFO);
  EXPECT_TRUE(host.limits().realtime);
  EXPECT_FALSE(host.limits().may_dwell());
}

TEST(CpuLimitsTest, JunkBoundsNothing) {
  const FakeHost host;
  host.dir.write("sys/fs/cgroup/a/b/cpu.max", "0 0\n");
  host.dir.write("sys/fs/cgroup/a/cpu.max", "lots\n");
  host.dir.write("sys/fs/cgroup/a/b/cpuset.cpus.effective", "9-1\n");
  host.dir.write("sys/devices/system/cpu/online", "?");
  host.cgroup("0::" + std::string(5000, '/') + "\n");
  EXPECT_EQ(host.limits().affinity, 64U);
  EXPECT_EQ(host.limits().effective(), 64U);
}

TEST(CpuLimitsTest, NoSuchProcess) {
  const FakeHost host;
  const auto limits = read_cpu_limits(43, CpuSources{proc::ProcFs(host.dir.file("proc")), host.dir.file("sys")});
  ASSERT_FALSE(limits);
  EXPECT_EQ(limits.error().kind, ErrorKind::kGone);
}

TEST(CpuLimitsTest, ThisProcessOnOneCpu) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_LE(read_cpu_limits(::getpid())->affinity, static_cast<unsigned>(CPU_COUNT(&before)));
  int first = 0;
  while (!CPU_ISSET(first, &before)) {
    ++first;
  }
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  const auto limits = read_cpu_limits(::getpid());
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
  ASSERT_TRUE(limits);
  EXPECT_EQ(limits->affinity, 1U);
  EXPECT_FALSE(limits->may_dwell());
}

}  // namespace
}  // namespace mapwatch::attach
