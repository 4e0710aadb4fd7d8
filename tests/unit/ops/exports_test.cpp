#include "ops/exports.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "metrics/text.h"
#include "ops/budget.h"

namespace mapwatch::ops {
namespace {

std::set<std::string> all_of(const std::string& text, const char* pattern) {
  const std::regex expression(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator each(text.begin(), text.end(), expression), end; each != end; ++each) {
    found.insert((*each)[1]);
  }
  return found;
}

/// The names of the series that the daemon serves.
std::set<std::string> served() {
  metrics::Snapshot snapshot;
  snapshot.last_event_s = 1;
  const auto text = metrics::to_text(snapshot);
  EXPECT_TRUE(text);
  std::set<std::string> names = all_of(*text, "# HELP ([a-z_]+) ");
  for (const std::string& histogram : all_of(*text, "# TYPE ([a-z_]+) histogram")) {
    names.insert({histogram + "_bucket", histogram + "_sum", histogram + "_count"});
  }
  return names;
}

/// Names that begin like ours and are asked for; not those of series that the rules record.
std::set<std::string> asked_for(const std::string& text) {
  return all_of(text, R"((?:^|[^:a-z_])((?:mapwatch|process)_[a-z_]+)(?=[\[{ )/,\n]|$))");
}

TEST(Exports, AskForNothingThatTheDaemonDoesNotServe) {
  const std::set<std::string> known = served();
  ASSERT_TRUE(known.contains("mapwatch_hazards_total") && known.contains("mapwatch_freeze_duration_seconds_bucket"));
  std::string text;
  const nlohmann::json board = nlohmann::json::parse(dashboard());
  for (const auto& panel : board.at("panels")) {
    const nlohmann::json targets = panel.value("targets", nlohmann::json::array());
    for (const auto& target : targets) {
      text += target.at("expr").get<std::string>() + "\n";
    }
  }
  EXPECT_GE(asked_for(text).size(), 25u);
  for (const std::string& name : asked_for(text)) {
    EXPECT_TRUE(known.contains(name)) << name;
  }
  EXPECT_GE(asked_for(alert_rules()).size(), 10u);
  for (const std::string& name : asked_for(alert_rules())) {
    EXPECT_TRUE(known.contains(name)) << name;
  }
}

TEST(Exports, TheRulesHaveTheGatesWindowsAndFactors) {
  const std::string rules = alert_rules();
  for (const char* line : {"exe:mapwatch_hazards:burn1h >= 14.4\n          and exe:mapwatch_hazards:burn5m >= 14.4",
                           "exe:mapwatch_hazards:burn6h >= 6\n          and exe:mapwatch_hazards:burn30m >= 6",
                           "exe:mapwatch_hazards:burn1d >= 3\n          and exe:mapwatch_hazards:burn2h >= 3",
                           "exe:mapwatch_crashes:burn3d >= 1\n          and exe:mapwatch_crashes:burn6h >= 1"}) {
    EXPECT_NE(rules.find(line), std::string::npos) << line;
  }
  EXPECT_EQ(all_of(rules, R"(record: (exe:mapwatch_hazards:burn\w+))").size(), 2 * kBurnRules.size() - 1);
}

TEST(Exports, NoSeriesIsRecordedTwice) {
  const std::string rules = alert_rules();
  const std::set<std::string> names = all_of(rules, R"(record: (\S+))");
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = rules.find("- record: ", at)) != std::string::npos; ++at) {
    ++lines;
  }
  EXPECT_EQ(lines, names.size());
}

TEST(Exports, NothingIsLeftToBeFilledIn) {
  for (const std::string& text : {systemd_unit(), kubernetes()}) {
    EXPECT_NE(text.find(MAPWATCH_VERSION), std::string::npos);
    EXPECT_EQ(text.find("{0}"), std::string::npos);
    EXPECT_EQ(text.find("{{"), std::string::npos);
  }
  EXPECT_EQ(dashboard().find("$of"), std::string::npos);
  EXPECT_EQ(dashboard().find("$on"), std::string::npos);
}

}  // namespace
}  // namespace mapwatch::ops
