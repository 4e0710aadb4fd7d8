#include "cli/config_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

namespace mapwatch::cli {
namespace {

using Values = std::vector<std::string>;

Result<ConfigText> parse(std::string_view text) { return parse_config(text, "f.toml"); }

TEST(Config, ReadsEveryFormOfValue) {
  const auto config = parse(
      "# comment\n"
      "\n"
      "output = json   # trailing\n"
      "budget=1%\r\n"
      "strip-path-prefix = \"/srv/a \\\"b\\\" # no comment\\t\\\\\"\n"
      "exe = 'C:\\x'\n"
      "name = [\"a, b\", 'c', d ,]\n"
      "exclude = []\n"
      "record = \"\"");
  ASSERT_TRUE(config) << config.error().message;
  const std::vector<ConfigEntry>* entries = &config->entries;
  ASSERT_EQ(entries->size(), 7u);
  EXPECT_EQ((*entries)[0].key, "output");
  EXPECT_EQ((*entries)[0].values, Values{"json"});
  EXPECT_EQ((*entries)[0].line, 3);
  EXPECT_EQ((*entries)[1].values, Values{"1%"});
  EXPECT_EQ((*entries)[2].values, Values{"/srv/a \"b\" # no comment\t\\"});
  EXPECT_EQ((*entries)[3].values, Values{"C:\\x"});
  EXPECT_EQ((*entries)[4].values, (Values{"a, b", "c", "d"}));
  EXPECT_TRUE((*entries)[5].values.empty());
  EXPECT_EQ((*entries)[6].values, Values{""});
  EXPECT_EQ((*entries)[6].line, 9);
}

TEST(Config, ErrorsNameFileAndLine) {
  for (const char* text :
       {"\noutput", "\n= json", "\noutput =", "\noutput = \"json", "\noutput = json text", "\n[run]]",
        "\noutput = \"\\x\"", "\nname = [a", "\nname = [a b]", "\nname = [a] b", "\nname = [,]", "\noutput = 'json",
        "\na b = c", "\noutput = \"x\\", "\n[target", "\n[[target]", "\n[[]]", "\n[[a]] b", "\n[[a b]]"}) {
    const auto result = parse(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
    EXPECT_TRUE(result.error().message.starts_with("f.toml:2: ")) << result.error().message;
  }
}

TEST(Config, RepeatedKeyNamesBothLines) {
  const auto result = parse("output = json\noutput = text\n");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "f.toml:2: output was given in line 1 already");
}

TEST(Config, EachSectionHasItsKeys) {
  const auto config =
      parse("budget = 1%\n[[target]] # one\nname = a\nbudget = 2%\n\n[[ target ]]\n[[other]]\nname = b\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->entries.size(), 1u);
  ASSERT_EQ(config->sections.size(), 3u);
  EXPECT_EQ(config->sections[0].name, "target");
  EXPECT_EQ(config->sections[0].line, 2);
  ASSERT_EQ(config->sections[0].entries.size(), 2u);
  EXPECT_EQ(config->sections[0].entries[1].values, Values{"2%"});
  EXPECT_TRUE(config->sections[1].entries.empty());
  EXPECT_EQ(config->sections[2].name, "other");
  EXPECT_EQ(parse("[[target]]\nname = a\nname = b\n").error().message, "f.toml:3: name was given in line 2 already");
}

TEST(Config, MissingFileIsAUsageError) {
  const auto result = read_config("/nonexistent/mapwatch.toml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
  EXPECT_NE(result.error().message.find("/nonexistent/mapwatch.toml: No such file"), std::string::npos);
}

TEST(Config, DirectoryHugeAndWorldWritableFilesAreRefused) {
  EXPECT_FALSE(read_config("/tmp"));
  const std::string path = testing::TempDir() + "config_test.toml";
  std::ofstream(path) << "output = json\n";
  EXPECT_TRUE(read_config(path));
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  const auto writable = read_config(path);
  ASSERT_FALSE(writable);
  EXPECT_NE(writable.error().message.find("everybody may write"), std::string::npos);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  std::ofstream(path) << std::string((1u << 20) + 1, '#');
  const auto huge = read_config(path);
  ASSERT_FALSE(huge);
  EXPECT_NE(huge.error().message.find("larger than 1 MiB"), std::string::npos);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace mapwatch::cli
