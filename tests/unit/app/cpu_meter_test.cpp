#include "app/cpu_meter.h"

#include <gtest/gtest.h>

#include "app/host_dir.h"

namespace mapwatch::app {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(CpuMeter, CountsFromAddToDrop) {
  test::HostDir host;
  CpuMeter meter(host.procfs());
  host.use(5, 100);
  meter.add(5);
  EXPECT_EQ(meter.ticks(5), 0u);
  host.use(5, 130);
  meter.read_all();
  EXPECT_EQ(meter.ticks(5), 30u);
  host.use(5, 140);
  meter.drop(5);
  EXPECT_FALSE(meter.ticks(5));
  EXPECT_EQ(meter.total_ticks(), 40u);
}

TEST(CpuMeter, WhatIsGoneKeepsItsLastFigure) {
  test::HostDir host;
  CpuMeter meter(host.procfs());
  host.use(5, 100);
  meter.add(5);
  host.use(5, 130);
  meter.read_all();
  host.end(5);
  meter.drop(5);
  EXPECT_EQ(meter.total_ticks(), 30u);
}

TEST(CpuMeter, EachIsReadOnceARound) {
  test::HostDir host;
  CpuMeter meter(host.procfs());
  for (int pid = 1; pid <= 10; ++pid) {
    host.use(pid, 0);
    meter.add(pid);
  }
  std::uint64_t now = 50 * kSecond;
  meter.turn(now);  // the first round
  for (int pid = 1; pid <= 10; ++pid) {
    host.use(pid, 7);
  }
  const auto read = [&] {
    int count = 0;
    for (int pid = 1; pid <= 10; ++pid) {
      count += meter.ticks(pid) == 7u;
    }
    return count;
  };
  now += kSecond / 2;
  meter.turn(now);
  EXPECT_EQ(read(), 5);
  now += kSecond / 2;
  meter.turn(now);
  EXPECT_EQ(read(), 10);
}

TEST(CpuMeter, ManyProcessesAreReadMoreSeldom) {
  test::HostDir host;
  CpuMeter meter(host.procfs());
  for (int pid = 1; pid <= 400; ++pid) {
    host.use(pid, 0);
    meter.add(pid);
  }
  meter.turn(50 * kSecond);
  for (int pid = 1; pid <= 400; ++pid) {
    host.use(pid, 7);
  }
  meter.turn(51 * kSecond);
  int count = 0;
  for (int pid = 1; pid <= 400; ++pid) {
    count += meter.ticks(pid) == 7u;
  }
  EXPECT_EQ(count, 50);
}

}  // namespace
}  // namespace mapwatch::app
