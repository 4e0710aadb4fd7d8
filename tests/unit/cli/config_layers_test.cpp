#include "cli/config_layers.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/temp_dir.h"

namespace mapwatch::cli {
namespace {

using Words = std::vector<std::string>;

class DaemonConfig : public testing::Test {
 protected:
  DaemonConfig() { std::filesystem::create_directory(dir_.path() + "/conf.d"); }

  void write(const std::string& name, const std::string& text) { std::ofstream(dir_.path() + "/" + name) << text; }
  Result<Parsed> read(Words more = {}, const Words& env = {}, const std::string& command = "daemon") {
    Words args = {command, "--config", dir_.path() + "/mapwatch.toml"};
    args.insert(args.end(), more.begin(), more.end());
    return parse(args, env);
  }
  Options options(const Words& more = {}, const Words& env = {}) {
    const auto parsed = read(more, env);
    EXPECT_TRUE(parsed) << parsed.error().message;
    return parsed ? parsed->options : Options{};
  }
  void expect_error(const std::string& message, const std::string& hint = "") {
    const auto parsed = read();
    ASSERT_FALSE(parsed) << message;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage);
    EXPECT_NE(parsed.error().message.find(message), std::string::npos) << parsed.error().message;
    EXPECT_NE(parsed.error().hint.find(hint), std::string::npos) << parsed.error().hint;
  }

  test::TempDir dir_;
};

TEST_F(DaemonConfig, AloneItWatchesEverythingAndTellsThisHostOnly) {
  const auto parsed = parse({"daemon"}, {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(parsed->options.all);
  EXPECT_EQ(parsed->options.metrics_listen, "127.0.0.1:9750");
  EXPECT_EQ(parsed->options.given, Words{"daemon"});
}

TEST_F(DaemonConfig, ASelectorTakesThePlaceOfAll) {
  write("mapwatch.toml", "name = orders\n");
  EXPECT_FALSE(options().all);
  write("mapwatch.toml", "all = false\n");
  expect_error("daemon: nothing to watch");
}

TEST_F(DaemonConfig, TablesAreKeysOfFlags) {
  write("mapwatch.toml", "output = text\n[metrics]\nlisten = \"[::1]:1\"\n[daemon]\noutput = json\nbudget = 2%\n");
  const Options all = options();
  EXPECT_EQ(all.metrics_listen, "[::1]:1");
  EXPECT_EQ(all.output, Output::kJson);
  EXPECT_EQ(all.budget, 0.02);
  const auto watch = read({"-a"}, {}, "watch");
  ASSERT_TRUE(watch) << watch.error().message;
  EXPECT_EQ(watch->options.output, Output::kText);
  EXPECT_EQ(watch->options.budget, 0.01);
  EXPECT_EQ(options({"--metrics-listen", "none"}).metrics_listen, "");
  EXPECT_EQ(options({}, {"MAPWATCH_METRICS_LISTEN=unix:/run/x"}).metrics_listen, "unix:/run/x");
}

TEST_F(DaemonConfig, DropInsComeInTheOrderOfTheirNames) {
  write("mapwatch.toml", "budget = 1%\nmax-freeze = 1s\n[[target]]\nname = a\nbudget = 0.1%\n");
  write("conf.d/20-b.toml", "budget = 3%\n[[target]]\nname = a\nbudget = 0.3%\n");
  write("conf.d/10-a.toml", "[daemon]\nbudget = 2%\nexclude = [x, y]\n[[target]]\nname = a\nbudget = 0.2%\n");
  write("conf.d/.hidden.toml", "nonsense\n");
  write("conf.d/30-c.toml.dpkg-old", "nonsense\n");
  const Options all = options();
  EXPECT_EQ(all.budget, 0.03);
  EXPECT_EQ(all.max_freeze_ns, 1'000'000'000u);
  EXPECT_EQ(all.excludes, (Words{"x", "y"}));
  ASSERT_EQ(all.targets.size(), 3u);  // the first that names a process holds: the last file's
  EXPECT_DOUBLE_EQ(all.targets[0].budget.value(), 0.003);
  EXPECT_DOUBLE_EQ(all.targets[2].budget.value(), 0.001);
  EXPECT_TRUE(all.targets[0].where.ends_with("conf.d/20-b.toml:2")) << all.targets[0].where;
  const auto watch = read({"-a"}, {}, "watch");  // conf.d is the daemon's
  ASSERT_TRUE(watch);
  EXPECT_EQ(watch->options.budget, 0.01);
}

TEST_F(DaemonConfig, PrintConfigTellsWhereEachValueIsFrom) {
  write("mapwatch.toml", "budget = 1%\n");
  write("conf.d/10.toml", "[daemon]\nbudget = 2%\n\n[metrics]\nlisten = none\n");
  const auto parsed = read({"--print-config", "--max-freeze", "3s"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  const std::string& text = parsed->text.value();
  for (const std::string& line :
       {"budget = 2%                                 # " + dir_.path() + "/conf.d/10.toml:2\n",
        "metrics-listen = none                       # " + dir_.path() + "/conf.d/10.toml:5\n",
        std::string("max-freeze = 3s                             # flag\n"),
        std::string("all = true                                  # default\n")}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
  // It is itself a config file.
  write("mapwatch.toml", text);
  std::filesystem::remove_all(dir_.path() + "/conf.d");
  EXPECT_EQ(options().budget, 0.02);
  EXPECT_EQ(options().metrics_listen, "");
}

TEST_F(DaemonConfig, ErrorsNameFileAndLine) {
  write("mapwatch.toml", "[metrics]\nlisen = none\n");
  expect_error("/mapwatch.toml:2: unknown key lisen", "did you mean listen?");
  write("mapwatch.toml", "[metrics]\noutput = json\n");
  expect_error("/mapwatch.toml:2: unknown key output");
  write("mapwatch.toml", "\n[daemons]\n");
  expect_error("/mapwatch.toml:2: unknown table daemons", "[daemon] and [metrics]");
  write("mapwatch.toml", "[daemon]\n[metrics]\n[daemon]\n");
  expect_error("/mapwatch.toml:3: daemon was begun in line 1 already");
  write("mapwatch.toml", "[[metrics]]\nlisten = none\n");
  expect_error("/mapwatch.toml:1: unknown section metrics");
  write("mapwatch.toml", "[metrics]\nlisten = example.org:80\n");
  expect_error("/mapwatch.toml:2: listen: \"example.org:80\" is no address to listen at", "127.0.0.1:9750");
  write("mapwatch.toml", "[metrics]\nlisten = 0.0.0.0:9750\n");
  expect_error("metrics-listen 0.0.0.0:9750 is open to other hosts", "--web-config-file");
  write("mapwatch.toml", "[metrics]\nlisten = 0.0.0.0:9750\nweb-config-file = /w\n");
  EXPECT_EQ(options().web_config_file, "/w") << "whether it is enough is seen when it is read";
  write("mapwatch.toml", "");
  write("conf.d/1.toml", "budgte = 1%\n");
  expect_error("/conf.d/1.toml:1: unknown key budgte");
  ASSERT_EQ(::chmod((dir_.path() + "/conf.d").c_str(), 0777), 0);
  expect_error("everybody may write to it", "chmod o-w");
}

TEST_F(DaemonConfig, FlagsThatEndARunAreNotADaemons) {
  for (const char* flag : {"--duration=5s", "--max-reports=3", "--halt-on-first", "--exit-code=1", "--pid=1"}) {
    const auto parsed = parse({"daemon", flag}, {});
    ASSERT_FALSE(parsed) << flag;
    EXPECT_NE(parsed.error().message.find("daemon does not take"), std::string::npos) << parsed.error().message;
  }
}

}  // namespace
}  // namespace mapwatch::cli
