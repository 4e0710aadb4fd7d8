#include "app/target_settings.h"

#include <gtest/gtest.h>

#include "app/host_dir.h"

namespace mapwatch::app {
namespace {

cli::TargetRule rule(const std::string& name, double budget) {
  cli::TargetRule out;
  out.names = {name};
  out.budget = budget;
  return out;
}

TEST(TargetSettings, TheFirstRuleThatNamesAProcessHolds) {
  test::HostDir host;
  host.process(11, host.go("orders"), "orders");
  host.process(12, host.go("billing"), "billing");
  host.process(13, host.go("other"), "other", "/batch.slice/job");
  cli::Options options;
  options.budget = 0.01;
  options.sample = "auto";
  options.targets = {rule("orders", 0.02), rule("orders", 0.03), rule("billing", 0.04)};
  options.targets[2].dwell_ns = 20'000;
  cli::TargetRule batch;
  batch.cgroup = "/batch.slice";
  batch.sample = "1/8";
  options.targets.push_back(batch);
  const TargetSettings settings(options);

  const auto orders = settings.of(host.procfs(), 11);
  EXPECT_DOUBLE_EQ(orders->budget, 0.02);
  EXPECT_EQ(orders->sample, "auto");
  EXPECT_FALSE(orders->dwell_ns);
  const auto billing = settings.of(host.procfs(), 12);
  EXPECT_DOUBLE_EQ(billing->budget, 0.04);
  EXPECT_EQ(billing->dwell_ns, 20'000u);
  EXPECT_EQ(settings.of(host.procfs(), 13)->sample, "1/8");
  EXPECT_DOUBLE_EQ(settings.of(host.procfs(), 13)->budget, 0.01);
  EXPECT_DOUBLE_EQ(settings.of(host.procfs(), 99)->budget, 0.01) << "a process that is gone";
}

}  // namespace
}  // namespace mapwatch::app
