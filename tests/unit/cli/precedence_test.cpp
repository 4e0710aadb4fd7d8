// Which layer decides, and how that is shown.
#include <gtest/gtest.h>

#include "cli/command_line.h"
#include "cli/flags.h"

namespace mapwatch::cli {
namespace {

TEST(Precedence, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  const ConfigFile file("output = json\n");
  const Words env = {"MAPWATCH_OUTPUT=compact"};
  const Words from_file = {"ls", "--config", file.path()};
  Words with_flag = from_file;
  with_flag.insert(with_flag.end(), {"-o", "text"});
  EXPECT_EQ(options_of({"ls"}).output, Output::kText);
  EXPECT_EQ(options_of(from_file).output, Output::kJson);
  EXPECT_EQ(options_of(from_file, env).output, Output::kCompact);
  EXPECT_EQ(options_of(with_flag, env).output, Output::kText);
  EXPECT_EQ(options_of(with_flag).output, Output::kText);
  EXPECT_EQ(options_of({"ls", "--output=json"}, env).output, Output::kJson);
}

TEST(Precedence, HoldsForSwitchesCountsAndLists) {
  const ConfigFile file("halt-on-first = true\nverbose = 2\nname = [a, b]\n");
  const Words args = {"watch", "--config", file.path()};
  const Options from_file = options_of(args);
  EXPECT_TRUE(from_file.halt_on_first);
  EXPECT_EQ(from_file.verbose, 2);
  EXPECT_EQ(from_file.names, (Words{"a", "b"}));

  const Words env = {"MAPWATCH_HALT_ON_FIRST=false", "MAPWATCH_VERBOSE=1", "MAPWATCH_NAME=c"};
  const Options from_env = options_of(args, env);
  EXPECT_FALSE(from_env.halt_on_first);
  EXPECT_EQ(from_env.verbose, 1);
  EXPECT_EQ(from_env.names, Words{"c"});

  Words all = args;
  all.insert(all.end(), {"--halt-on-first", "-vvv", "-n", "d", "-n", "e"});
  const Options from_flag = options_of(all, env);
  EXPECT_TRUE(from_flag.halt_on_first);
  EXPECT_EQ(from_flag.verbose, 3);
  EXPECT_EQ(from_flag.names, (Words{"d", "e"}));
}

TEST(Precedence, ConfigFileItselfByFlagThenEnvironment) {
  const ConfigFile file("output = json\n");
  EXPECT_EQ(options_of({"ls"}, {"MAPWATCH_CONFIG=" + file.path()}).output, Output::kJson);
  EXPECT_EQ(options_of({"ls", "--config", file.path()}, {"MAPWATCH_CONFIG=/nonexistent"}).output, Output::kJson);
  EXPECT_EQ(error_of({"ls"}, {"MAPWATCH_CONFIG=/nonexistent"}).kind, ErrorKind::kUsage);
}

TEST(Precedence, ColorVariablesStandBelowOurOwn) {
  const ConfigFile file("color = always\n");
  EXPECT_EQ(options_of({"ls"}).color, When::kAuto);
  EXPECT_EQ(options_of({"ls"}, {"NO_COLOR=1"}).color, When::kNever);
  EXPECT_EQ(options_of({"ls"}, {"NO_COLOR="}).color, When::kAuto);
  EXPECT_EQ(options_of({"ls"}, {"CLICOLOR_FORCE=1"}).color, When::kAlways);
  EXPECT_EQ(options_of({"ls"}, {"CLICOLOR_FORCE=0"}).color, When::kAuto);
  EXPECT_EQ(options_of({"ls"}, {"NO_COLOR=1", "CLICOLOR_FORCE=1"}).color, When::kNever);
  EXPECT_EQ(options_of({"ls"}, {"NO_COLOR=1", "MAPWATCH_COLOR=always"}).color, When::kAlways);
  EXPECT_EQ(options_of({"ls", "--config", file.path()}, {"NO_COLOR=1"}).color, When::kNever);
  EXPECT_EQ(options_of({"ls", "--config", file.path()}, {"TERM=dumb"}).color, When::kAlways);
  EXPECT_EQ(options_of({"ls"}, {"TERM=dumb"}).color, When::kNever);
}

TEST(Precedence, QuietAndVerboseOfTwoLayers) {
  const Options flag_wins = options_of({"ls", "-v"}, {"MAPWATCH_QUIET=1"});
  EXPECT_FALSE(flag_wins.quiet);
  EXPECT_EQ(flag_wins.verbose, 1);
  const Options quiet_wins = options_of({"ls", "-q"}, {"MAPWATCH_VERBOSE=2"});
  EXPECT_TRUE(quiet_wins.quiet);
  EXPECT_EQ(quiet_wins.verbose, 0);
}

TEST(Precedence, EmptyVariableIsNoVariable) {
  EXPECT_EQ(options_of({"ls"}, {"MAPWATCH_OUTPUT="}).output, Output::kText);
}

TEST(Defaults, AreThoseOfOptions) {
  const Options parsed = options_of({"watch", "-p", "1"});
  const Options plain;
  EXPECT_EQ(parsed.ring_size, plain.ring_size);
  EXPECT_EQ(parsed.max_freeze_ns, plain.max_freeze_ns);
  EXPECT_EQ(parsed.budget, plain.budget);
  EXPECT_EQ(parsed.sample, plain.sample);
  EXPECT_EQ(parsed.dwell_ns, plain.dwell_ns);
  EXPECT_EQ(parsed.on_crash, plain.on_crash);
  EXPECT_EQ(parsed.on_fatal, plain.on_fatal);
  EXPECT_EQ(parsed.state_dir, plain.state_dir);
  EXPECT_EQ(parsed.run_dir, plain.run_dir);
  EXPECT_EQ(parsed.procfs, plain.procfs);
  EXPECT_EQ(parsed.exit_code, plain.exit_code);
  EXPECT_EQ(parsed.max_reports, plain.max_reports);
}

TEST(PrintConfig, ShowsEachKeyItsValueAndOrigin) {
  const ConfigFile file("ring-size = 64K\nexclude = [\"a b\", c]\n");
  const auto parsed =
      parse({"watch", "--print-config", "--config", file.path(), "-o", "json"}, {"MAPWATCH_DWELL=20us"});
  ASSERT_TRUE(parsed && parsed->text);
  const std::string& text = *parsed->text;
  const auto line_of = [&](const std::string& key) {
    const std::size_t begin = text.find("\n" + key) + 1;
    return text.substr(begin, text.find('\n', begin) - begin);
  };
  EXPECT_EQ(line_of("output"), "output = json                               # flag");
  EXPECT_EQ(line_of("dwell"), "dwell = 20us                                # MAPWATCH_DWELL");
  EXPECT_EQ(line_of("ring-size"), "ring-size = 64K                             # " + file.path() + ":1");
  EXPECT_EQ(line_of("exclude"), "exclude = [\"a b\", \"c\"]                      # " + file.path() + ":2");
  EXPECT_EQ(line_of("attach"), "attach = auto                               # default");
  EXPECT_EQ(line_of("# record"), "# record =                                  # not set (default)");
  for (const FlagSpec& flag : flags()) {
    if ((flag.commands & bit(Command::kWatch)) != 0) {
      EXPECT_NE(("\n" + text).find(std::string(flag.name) + " ="), std::string::npos) << flag.name;
    }
  }
}

TEST(PrintConfig, IsItselfAConfigFile) {
  const auto first =
      parse({"watch", "-p", "7", "-x", "/srv/\"a b\"\t\\*", "--exec", "/x # 'y z'", "--print-config"}, {});
  ASSERT_TRUE(first && first->text);
  const ConfigFile file(*first->text);
  const Options again = options_of({"watch", "--config", file.path()});
  EXPECT_EQ(again.pids, std::vector<int>{7});
  EXPECT_EQ(again.exe_globs, Words{"/srv/\"a b\"\t\\*"});
  EXPECT_EQ(again.exec, (Words{"/x", "#", "y z"}));
}

}  // namespace
}  // namespace mapwatch::cli
