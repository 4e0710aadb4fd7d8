#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "cli/options.h"

namespace mapwatch::cli {
namespace {

class TargetRule : public testing::Test {
 protected:
  ~TargetRule() override { ::unlink(path_.c_str()); }

  Result<Parsed> parse_file(const std::string& text, std::vector<std::string> more = {},
                            const std::vector<std::string>& env = {}) {
    std::ofstream(path_) << text;
    std::vector<std::string> args = {"watch", "-a", "--config", path_};
    args.insert(args.end(), more.begin(), more.end());
    return parse(args, env);
  }
  void expect_error(const std::string& text, const std::string& message, const std::string& in_hint = "") {
    const auto parsed = parse_file(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage);
    EXPECT_EQ(parsed.error().message, path_ + message);
    EXPECT_NE(parsed.error().hint.find(in_hint), std::string::npos) << parsed.error().hint;
  }

  const std::string path_ = testing::TempDir() + "target_rules_test.toml";
};

constexpr const char* kTwo =
    "budget = 2%\n"
    "[[target]]\n"
    "name = [orders, billing]\n"
    "exe = \"/srv/*\"\n"
    "budget = 0.5%\n"
    "sample = 1/8\n"
    "[[target]]\n"
    "cgroup = /batch.slice\n"
    "dwell = 20us\n";

TEST_F(TargetRule, SetsWhatItSays) {
  const auto parsed = parse_file(kTwo);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_DOUBLE_EQ(parsed->options.budget, 0.02);
  const auto& rules = parsed->options.targets;
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].where, path_ + ":2");
  EXPECT_EQ(rules[0].names, (std::vector<std::string>{"orders", "billing"}));
  EXPECT_EQ(rules[0].exe_globs, std::vector<std::string>{"/srv/*"});
  EXPECT_DOUBLE_EQ(rules[0].budget.value(), 0.005);
  EXPECT_EQ(rules[0].sample.value(), "1/8");
  EXPECT_FALSE(rules[0].dwell_ns);
  EXPECT_EQ(rules[1].cgroup, "/batch.slice");
  EXPECT_EQ(rules[1].dwell_ns.value().value(), 20'000u);
  EXPECT_FALSE(rules[1].budget);
}

TEST_F(TargetRule, FlagAndVariableAreStrongerThanTheFile) {
  const auto by_flag = parse_file(kTwo, {"--budget", "3%"});
  ASSERT_TRUE(by_flag);
  EXPECT_FALSE(by_flag->options.targets[0].budget);
  EXPECT_TRUE(by_flag->options.targets[0].sample);
  const auto by_variable = parse_file(kTwo, {}, {"MAPWATCH_DWELL=10us", "MAPWATCH_SAMPLE=full"});
  ASSERT_TRUE(by_variable);
  EXPECT_FALSE(by_variable->options.targets[0].sample);
  EXPECT_FALSE(by_variable->options.targets[1].dwell_ns);
  EXPECT_TRUE(by_variable->options.targets[0].budget);
}

TEST_F(TargetRule, ErrorsNameTheLine) {
  expect_error("[[target]]\nname = a\nbudgte = 1%\n", ":3: unknown key budgte", "did you mean budget?");
  expect_error("[[target]]\nname = a\noutput = json\n", ":3: output is the same for all targets",
               "name, exe, cgroup to name processes, and dwell, budget, sample");
  expect_error("[[target]]\nname = a\nbudget = 2\n", ":3: budget: \"2\" is no percentage");
  expect_error("[[target]]\nname = a\nbudget = [1%, 2%]\n", ":3: budget takes one value");
  expect_error("[[target]]\nbudget = 2%\n", ":1: this [[target]] names no process");
  expect_error("[[target]]\nname = []\nbudget = 2%\n", ":1: this [[target]] names no process");
  expect_error("\n[[target]]\nname = a\n", ":2: this [[target]] sets nothing");
  expect_error("[[targets]]\nname = a\n", ":1: unknown section targets", "[[target]]");
}

TEST_F(TargetRule, PrintConfigShowsThemAndIsItselfAConfigFile) {
  const auto parsed = parse_file(kTwo, {"--print-config", "--sample", "full"});
  ASSERT_TRUE(parsed);
  const std::string text = parsed->text.value();
  EXPECT_NE(text.find("\n[[target]]                                  # " + path_ + ":2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nname = [\"orders\", \"billing\"]"), std::string::npos) << text;
  EXPECT_NE(text.find("# " + path_ + ":6, not used: flag is stronger\n"), std::string::npos) << text;
  const auto again = parse_file(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->options.targets[0].names, parsed->options.targets[0].names);
  EXPECT_EQ(again->options.targets[1].dwell_ns, parsed->options.targets[1].dwell_ns);
}

}  // namespace
}  // namespace mapwatch::cli
