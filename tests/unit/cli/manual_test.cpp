#include "cli/manual.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/flags.h"

namespace mapwatch::cli {
namespace {

std::string with_roff_dashes(std::string_view name) {
  std::string out;
  for (const char c : name) {
    out += c == '-' ? "\\-" : std::string(1, c);
  }
  return out;
}

TEST(Manual, HasEachCommandAndEachFlagThatHelpShows) {
  const std::string text = manual();
  for (const CommandSpec& command : commands()) {
    EXPECT_NE(text.find("\\fB" + with_roff_dashes(command.name) + "\\fR"), std::string::npos) << command.name;
  }
  for (const FlagSpec& flag : flags()) {
    const std::string name = "\\fB\\-\\-" + with_roff_dashes(flag.name) + "\\fR";
    EXPECT_EQ(text.find(name) != std::string::npos, flag.shown != 0) << flag.name;
  }
}

TEST(Manual, NoTextOfTheTableIsARequest) {
  std::istringstream lines(manual());
  for (std::string line; std::getline(lines, line);) {
    EXPECT_FALSE(line.empty());
    if (line.starts_with(".")) {
      EXPECT_TRUE(line.starts_with(".\\\"") || (line[1] >= 'A' && line[1] <= 'Z')) << line;
    }
    EXPECT_FALSE(line.starts_with("'")) << line;
  }
}

}  // namespace
}  // namespace mapwatch::cli
