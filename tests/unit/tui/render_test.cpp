#include "tui/render.h"

#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tui/rows.h"

namespace mapwatch::tui {
namespace {

constexpr Size kUsual = {24, 160};

std::string drawn(const View& view, Size size = kUsual) { return render(view, size).grid.text(); }

bool has(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

View with(Snapshot of) {
  View view(1'000'000'000);
  view.update(std::move(of));
  return view;
}

TEST(Render, ShowsHostTargetsAndTheLastHazard) {
  const std::string text = drawn(with(snapshot()));
  EXPECT_TRUE(text.starts_with("mapwatch 1.0  web-03  kernel 6.18  attach uprobe_multi")) << text;
  EXPECT_TRUE(has(text, "procs 3/3"));
  EXPECT_TRUE(has(text, "LOST 0"));
  EXPECT_TRUE(has(text, "     10 gateway         1.26.8  full            9.0k")) << text;
  EXPECT_TRUE(has(text, "2/14/57"));
  EXPECT_TRUE(has(text,
                  "HOT  map[string]int 0xc0000a4060  write main.(*cache).put cache.go:7  <>  "
                  "read main.(*cache).get cache.go:8  57 in all  mw-7f3a91c2"));
  EXPECT_TRUE(has(text, "q quit"));
}

TEST(Render, LostEventsStandOut) {
  Snapshot of = snapshot();
  of.host.lost = 12;
  const Grid grid = render(with(of), kUsual).grid;
  const std::size_t at = grid.line(1).find("LOST 12");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(grid.at(1, static_cast<int>(at)).ink, Ink::kAlarm);
}

TEST(Render, NarrowScreensKeepWhatMattersMost) {
  const std::string text = drawn(with(snapshot()), {24, 80});
  for (const char* title : {"PID", "COMM", "MAP OPS/s", "COST%", "HAZARDS", "STATE"}) {
    EXPECT_TRUE(has(text, title)) << title << "\n" << text;
  }
  EXPECT_FALSE(has(text, "AGE"));
  EXPECT_TRUE(has(drawn(with(snapshot()), {24, 170}), "AGE"));
}

TEST(Render, AnySizeWillDo) {
  Snapshot of = snapshot();
  of.targets[0].places = {site("main.a", 5), site("main.b", 50)};
  for (const char* keys : {"", "\r", "?", "f", "p", "\r?"}) {
    View view = with(of);
    for (const char* key = keys; *key != '\0'; ++key) {
      view.handle(*key == '\r' ? Input{Key::kEnter, 0} : Input{Key::kText, static_cast<char32_t>(*key)});
    }
    for (int rows = 0; rows < 30; ++rows) {
      for (int columns = 0; columns < 100; columns += columns < 12 ? 1 : 29) {
        const Grid grid = render(view, {rows, columns}).grid;
        EXPECT_EQ(grid.size().rows, rows);
      }
    }
  }
}

TEST(Render, HostileNamesDoNotReachTheTerminal) {
  Snapshot of = snapshot();
  of.targets[0].comm = "\x1b[2Jevil\n";
  of.targets[0].exe = "/srv/\x9b\x07";
  of.targets[0].state = "\xe2\x80\xae";
  of.targets[0].places = {site("main.\x1b]0;x\x07", 5)};
  View view = with(of);
  for (const std::string& text : {drawn(view), plain_table(of)}) {
    for (const char c : text) {
      EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
    }
    EXPECT_FALSE(has(text, "\xe2\x80\xae"));
    EXPECT_TRUE(has(text, "\\x1b[2Jevil"));
  }
}

TEST(Render, WideNamesDoNotShiftTheColumns) {
  Snapshot of = snapshot();
  of.targets = {target(1, "世界世界"), target(2, "plain")};
  const Grid grid = render(with(of), kUsual).grid;
  std::vector<int> at;
  for (int row = 3; row < 5; ++row) {
    for (int column = 0; column < kUsual.columns; ++column) {
      if (grid.at(row, column).glyph == U'.') {  // of 1.26.8
        at.push_back(column);
        break;
      }
    }
  }
  ASSERT_EQ(at.size(), 2u);
  EXPECT_EQ(at[0], at[1]);
}

TEST(Render, ATargetWithItsHazardsAndSites) {
  Snapshot of = snapshot();
  of.targets[1].places = {site("main.(*cache).put", 5'000), site("main.(*cache).get", 12)};
  of.targets[1].places[0].detect_ns = 1'800'000'000;
  of.targets[1].places[1].detect_ns = kNever;
  of.targets[1].sharing = 3;
  of.targets[1].decides = 4211;
  of.targets[1].decides_cost = 0.0093;
  View view = with(of);
  view.handle({Key::kEnter, 0});
  const std::string text = drawn(view);
  EXPECT_TRUE(has(text, "10 gateway  /srv/gateway  go1.26.8  full  ok")) << text;
  EXPECT_TRUE(has(text, "100% armed of 31 functions")) << text;
  EXPECT_TRUE(has(text, "3 processes share them, 4211 decides (cost 0.93%)")) << text;
  EXPECT_TRUE(has(text, "mw-7f3a91c2 proven  map[string]int 0xc0000a4060  2/14/57  3s ago"));
  EXPECT_TRUE(has(text, "    write main.(*cache).put cache.go:7\n    read main.(*cache).get cache.go:8\n"));
  EXPECT_TRUE(has(text, "   5.0k      0      0 always     100     0    1.8s write   main.(*cache).put cache.go:7"))
      << text;
  EXPECT_TRUE(has(text, "  never write"));
  of.targets.erase(of.targets.begin() + 1);
  view.update(of);
  EXPECT_TRUE(has(drawn(view), "process 10 is gone"));
}

TEST(Render, LongTablesScroll) {
  Snapshot of = snapshot();
  for (int i = 0; i < 100; ++i) {
    of.targets[1].places.push_back(site("main.f" + std::to_string(i), static_cast<std::uint64_t>(1000 - i)));
  }
  View view = with(of);
  view.handle({Key::kEnter, 0});
  view.handle({Key::kEnd, 0});
  const Drawn end = render(view, kUsual);
  EXPECT_TRUE(has(end.grid.text(), "main.f99"));
  EXPECT_FALSE(has(end.grid.text(), "main.f0 "));
  view.limit_scroll(end.most_scroll);
  view.handle({Key::kUp, 0});
  EXPECT_FALSE(has(drawn(view), "main.f99"));
  EXPECT_TRUE(has(drawn(view), "main.f98"));
}

TEST(Render, TheChosenRowIsAlwaysOnTheScreen) {
  Snapshot of;
  for (int i = 0; i < 100; ++i) {
    of.targets.push_back(target(1000 + i, "p" + std::to_string(i)));
  }
  View view = with(of);
  view.handle({Key::kEnd, 0});
  EXPECT_TRUE(has(drawn(view), "   1099 p99"));
  EXPECT_FALSE(has(drawn(view), "   1000 p0"));
}

TEST(Render, TheFootSaysWhatGoesOn) {
  View view = with(snapshot());
  type(view, "fab");
  EXPECT_TRUE(has(drawn(view), "filter: ab_"));
  EXPECT_TRUE(has(drawn(view), "none matches the filter"));
  view.handle({Key::kEscape, 0});
  type(view, "p");
  EXPECT_TRUE(has(drawn(view), "PAUSED"));
  view.tell("PID 7 is not watched");
  EXPECT_TRUE(has(drawn(view), "PID 7 is not watched"));
  EXPECT_TRUE(has(drawn(with({})), "no Go process yet"));
}

TEST(Render, HelpNamesEveryColumnThatIsNotPlain) {
  View view = with(snapshot());
  type(view, "?");
  const std::string text = drawn(view, {40, 160});
  for (const char* word : {"MODE", "MAP OPS/s", "HITS/s", "COST%", "ARMED%", "SITES", "HAZARDS", "SEEN IN", "Ctrl-C"}) {
    EXPECT_TRUE(has(text, word)) << word;
  }
}

TEST(PlainTable, AllColumnsAndRows) {
  Snapshot of = snapshot();
  Target refused;
  refused.pid = 6044;
  refused.comm = "legacyd";
  refused.state = "go1.17 is not supported";
  of.targets.push_back(refused);
  const std::string text = plain_table(of);
  EXPECT_TRUE(has(text, "AGE"));
  EXPECT_TRUE(has(text, "STATE"));
  EXPECT_TRUE(has(text, "go1.17 is not supported"));
  EXPECT_TRUE(has(text, "\n10  HOT  map[string]int"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(Json, OneObjectATarget) {
  Snapshot of = snapshot();
  of.targets[0].comm = "\x1b\xff";
  of.targets[0].ops_per_s.reset();
  const std::string text = json_lines(of);
  std::istringstream lines(text);
  std::vector<nlohmann::json> objects;
  for (std::string line; std::getline(lines, line);) {
    objects.push_back(nlohmann::json::parse(line));
  }
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_EQ(objects[0]["schema_version"], 1);
  EXPECT_EQ(objects[0]["kind"], "target");
  EXPECT_EQ(objects[0]["ops_per_s"], nullptr);
  EXPECT_EQ(objects[1]["pid"], 10);
  EXPECT_EQ(objects[1]["hazards"]["hour"], 14);
  EXPECT_EQ(objects[1]["found"][0]["sides"][1]["func"], "main.(*cache).get");
  for (const char c : text) {
    EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << static_cast<int>(c);
  }
}

}  // namespace
}  // namespace mapwatch::tui
