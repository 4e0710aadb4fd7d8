#include "app/output.h"

#include <map>

#include <gtest/gtest.h>

namespace mapwatch::app {
namespace {

bool color(cli::When when, bool terminal, std::map<std::string, std::string> env) {
  return want_color(when, terminal, [&](const char* name) { return env[name]; });
}

TEST(Output, FlagBeatsEnvironmentBeatsTerminal) {
  using cli::When;
  EXPECT_TRUE(color(When::kAlways, false, {{"NO_COLOR", "1"}}));
  EXPECT_FALSE(color(When::kNever, true, {{"CLICOLOR_FORCE", "1"}, {"TERM", "xterm"}}));
  EXPECT_FALSE(color(When::kAuto, true, {{"NO_COLOR", "1"}, {"CLICOLOR_FORCE", "1"}, {"TERM", "xterm"}}));
  EXPECT_TRUE(color(When::kAuto, false, {{"CLICOLOR_FORCE", "1"}}));
  EXPECT_FALSE(color(When::kAuto, false, {{"CLICOLOR_FORCE", "0"}, {"TERM", "xterm"}}));
  EXPECT_TRUE(color(When::kAuto, true, {{"TERM", "xterm"}}));
  EXPECT_FALSE(color(When::kAuto, true, {{"TERM", "dumb"}}));
  EXPECT_FALSE(color(When::kAuto, true, {}));
  EXPECT_FALSE(color(When::kAuto, false, {{"TERM", "xterm"}}));
}

TEST(Output, DescribesSuppressions) {
  auto suppressions = report::Suppressions::parse("race:a\ntype:b\n", "f");
  EXPECT_EQ(describe_suppressions(*suppressions, "f"), "0 of 2 suppressions used; never: f:1 race:a, f:2 type:b");
  EXPECT_EQ(describe_suppressions({}, ""), "");
}

}  // namespace
}  // namespace mapwatch::app
