#include "cli/reload.h"

#include <gtest/gtest.h>

#include <map>

#include "cli/flags.h"

namespace mapwatch::cli {
namespace {

TEST(Reload, TakesWhatMayChangeAndNamesTheRest) {
  Options in_force;
  Options fresh;
  fresh.budget = 0.02;
  fresh.excludes = {"x"};
  fresh.targets = {{"f:1", {"a"}, {}, "", 0.5, std::nullopt, std::nullopt}};
  fresh.suppressions = "/s";
  EXPECT_TRUE(take_over(in_force, fresh).empty());
  EXPECT_EQ(in_force.budget, 0.02);
  EXPECT_EQ(in_force.excludes, fresh.excludes);
  ASSERT_EQ(in_force.targets.size(), 1u);
  EXPECT_EQ(in_force.suppressions, "/s");
  fresh.log_path = "/f";
  fresh.ring_size = 4096;
  EXPECT_EQ(take_over(in_force, fresh), (std::vector<std::string>{"log-path", "ring-size"}));
  EXPECT_EQ(in_force.log_path, "");
}

/// None is forgotten: what is not taken over is named.
TEST(Reload, EveryFlagOfTheDaemonIsTakenOrWaits) {
  const std::map<std::string_view, std::string> taken = {{"name", "a"},
                                                         {"exe", "/a"},
                                                         {"cgroup", "/a"},
                                                         {"exclude", "a"},
                                                         {"all", "true"},
                                                         {"budget", "2%"},
                                                         {"sample", "auto"},
                                                         {"dwell", "10us"},
                                                         {"interval", "7s"},
                                                         {"suppressions", "/a"},
                                                         {"metrics-listen", "127.0.0.1:1"},
                                                         {"web-config-file", "/a"},
                                                         {"webhook", "http://a"},
                                                         {"webhook-secret-file", "/a"},
                                                         {"webhook-ca", "/a"},
                                                         {"alertmanager", "http://a"},
                                                         {"alert-wait", "3s"},
                                                         {"alert-interval", "2m"},
                                                         {"alert-repeat", "1h"},
                                                         {"alert-resolve", "1h"},
                                                         {"exec", "/bin/true"},
                                                         {"exec-user", "a"},
                                                         {"exec-timeout", "1s"},
                                                         {"exec-max", "2"},
                                                         {"journal", "never"}};
  const std::map<std::string_view, std::string> waits = {
      {"output", "json"},   {"timestamps", "true"}, {"quiet", "true"},   {"verbose", "2"},
      {"color", "never"},   {"log-path", "/a"},     {"on-fatal", "all"}, {"on-crash", "none"},
      {"max-freeze", "1s"}, {"record", "/a"},       {"attach", "perf"},  {"ring-size", "4K"},
      {"procfs", "/a"},     {"run-dir", "/a"},      {"state-dir", "/a"}, {"strip-path-prefix", "/a"},
      {"alert-spool", "1M"}};
  for (const FlagSpec& flag : flags()) {
    if ((flag.commands & bit(Command::kDaemon)) == 0 || flag.later) {
      continue;
    }
    const bool may_change = taken.contains(flag.name);
    ASSERT_TRUE(may_change || waits.contains(flag.name)) << flag.name << " is in neither list";
    Options in_force;
    Options fresh;
    ASSERT_TRUE(flag.set(fresh, may_change ? taken.at(flag.name) : waits.at(flag.name))) << flag.name;
    const std::vector<std::string> named = take_over(in_force, fresh);
    EXPECT_EQ(named, may_change ? std::vector<std::string>{} : std::vector<std::string>{std::string(flag.name)});
  }
}

}  // namespace
}  // namespace mapwatch::cli
