#include "report/suppressions.h"

#include <gtest/gtest.h>

namespace mapwatch::report {
namespace {

HazardReport hazard() {
  HazardReport out;
  out.wall_ns = 1'795'392'842'000'000'000;  // 2026-11-23
  out.map.type = "map[string]*main.Session";
  out.process.exe = "/srv/app/orders";
  for (int side = 0; side < 2; ++side) {
    auto& stack = out.accesses[side].stack;
    stack.resize(3);
    stack[0].func = "runtime.mapassign_faststr";
    stack[1].func = side == 0 ? "main.(*cache).put" : "main.(*cache).get";
    stack[1].user = true;
    stack[2].func = side == 0 ? "main.writer" : "net/http.(*conn).serve";
  }
  return out;
}

bool hidden_by(const std::string& line) {
  auto suppressions = Suppressions::parse(line, "test");
  EXPECT_TRUE(suppressions) << line;
  return suppressions && suppressions->hides(hazard());
}

TEST(Suppressions, MatchesAnyFrameTopFrameTypeAndExe) {
  EXPECT_TRUE(hidden_by("race:main.writer"));
  EXPECT_TRUE(hidden_by("race:net/http"));
  EXPECT_TRUE(hidden_by("race:mapassign"));
  EXPECT_FALSE(hidden_by("race:main.reader"));
  EXPECT_TRUE(hidden_by("race_top:main.(*cache).get"));
  EXPECT_FALSE(hidden_by("race_top:main.writer"));
  EXPECT_FALSE(hidden_by("race_top:mapassign")) << "the top is the first user frame";
  EXPECT_TRUE(hidden_by("type:map[string]*main.Session"));
  EXPECT_TRUE(hidden_by("type:^map[string]*Session$"));
  EXPECT_FALSE(hidden_by("type:^Session"));
  EXPECT_TRUE(hidden_by("exe:orders$"));
  EXPECT_FALSE(hidden_by("exe:^orders"));
}

TEST(Suppressions, CommentsReasonsAndExpiry) {
  auto parsed =
      Suppressions::parse("# head\n\n  race:a  # known, until=2026-11-23\nrace:b\t#until=2026-11-22\r\ntype:x#y", "f");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->rules().size(), 3u);
  EXPECT_EQ(parsed->rules()[0].pattern, "a");
  EXPECT_EQ(parsed->rules()[0].reason, "known, until=2026-11-23");
  EXPECT_EQ(parsed->rules()[0].line, 3);
  EXPECT_EQ(parsed->rules()[2].pattern, "x#y");
  EXPECT_TRUE(hidden_by("race:main.writer # until=2026-11-23")) << "the last day counts";
  EXPECT_FALSE(hidden_by("race:main.writer # until=2026-11-22"));
}

TEST(Suppressions, CountsUse) {
  auto parsed = Suppressions::parse("race:main.writer\nrace:main.reader\n", "f");
  parsed->hides(hazard());
  parsed->hides(hazard());
  EXPECT_EQ(parsed->rules()[0].used, 2u);
  EXPECT_EQ(parsed->rules()[1].used, 0u);
}

TEST(Suppressions, ErrorsNameTheLine) {
  for (const char* bad : {"mutex:x", "race", "race:", "race:  # why", "race:x # until=soon",
                          "race:x # until=2026-02-30", "race:x # until=2026-1-1", "race:x # until="}) {
    const auto parsed = Suppressions::parse(std::string("race:ok\n") + bad, "file.supp");
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage);
    EXPECT_TRUE(parsed.error().message.starts_with("file.supp:2: ")) << parsed.error().message;
  }
  EXPECT_FALSE(Suppressions::load("/nonexistent"));
  EXPECT_FALSE(Suppressions::load("/"));
  EXPECT_TRUE(Suppressions::load("")->rules().empty());
}

TEST(Suppressions, Patterns) {
  EXPECT_TRUE(matches_pattern("b", "abc"));
  EXPECT_TRUE(matches_pattern("a*c", "xabbbcx"));
  EXPECT_FALSE(matches_pattern("^b", "abc"));
  EXPECT_TRUE(matches_pattern("^a*c$", "abcc"));
  EXPECT_FALSE(matches_pattern("^a*c$", "abcd"));
  EXPECT_TRUE(matches_pattern("^$", ""));
  EXPECT_FALSE(matches_pattern("^$", "a"));
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("^abc$", "abc"));
  const std::string long_text(4096, 'a');
  EXPECT_FALSE(matches_pattern("a*a*a*a*a*a*a*a*a*a*a*a*b", long_text)) << "in bounded time";
}

}  // namespace
}  // namespace mapwatch::report
