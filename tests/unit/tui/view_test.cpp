#include "tui/view.h"

#include <gtest/gtest.h>

#include "tui/columns.h"
#include "tui/rows.h"

namespace mapwatch::tui {
namespace {

std::vector<int> pids(const View& view) {
  std::vector<int> out;
  for (const Target* each : view.rows()) {
    out.push_back(each->pid);
  }
  return out;
}

class Top : public testing::Test {
 protected:
  Top() : view(1'000'000'000) { view.update(snapshot()); }
  void press(Key key) { view.handle({key, 0}); }
  void sort_by(std::string_view title) {
    while (target_columns()[view.sort()].title != title) {
      type(view, "s");
    }
  }
  View view;
};

TEST_F(Top, MostHazardsFirst) { EXPECT_EQ(pids(view).front(), 10); }

TEST_F(Top, SortsByEachColumnAndBack) {
  sort_by("PID");
  EXPECT_EQ(pids(view), (std::vector{10, 20, 30}));
  type(view, "S");
  EXPECT_EQ(pids(view), (std::vector{30, 20, 10}));
  type(view, "S");
  sort_by("MAP OPS/s");
  EXPECT_EQ(pids(view), (std::vector{30, 10, 20}));
  press(Key::kLeft);
  EXPECT_EQ(target_columns()[view.sort()].title, "MODE");
  for (std::size_t i = 0; i < target_columns().size(); ++i) {
    press(Key::kRight);
    EXPECT_EQ(pids(view).size(), 3u);
  }
  EXPECT_EQ(target_columns()[view.sort()].title, "MODE");
}

TEST_F(Top, TheChosenProcessStaysChosen) {
  sort_by("PID");
  press(Key::kHome);
  press(Key::kDown);
  EXPECT_EQ(view.rows()[view.selected()]->pid, 20);
  type(view, "S");
  press(Key::kUp);
  press(Key::kDown);
  EXPECT_EQ(view.rows()[view.selected()]->pid, 20);
  Snapshot next = snapshot();
  next.targets.insert(next.targets.begin(), target(25, "new"));
  view.update(next);
  EXPECT_EQ(view.rows()[view.selected()]->pid, 20);
  std::erase_if(next.targets, [](const Target& each) { return each.pid == 20; });
  view.update(next);
  EXPECT_LT(view.selected(), view.rows().size());
  view.update({});
  EXPECT_EQ(view.selected(), 0u);
  press(Key::kDown);
  press(Key::kEnter);
  EXPECT_FALSE(view.opened());
}

TEST_F(Top, SelectionEndsAtBothEnds) {
  sort_by("PID");
  press(Key::kPageUp);
  EXPECT_EQ(view.selected(), 0u);
  press(Key::kEnd);
  EXPECT_EQ(view.selected(), 2u);
  press(Key::kPageDown);
  EXPECT_EQ(view.selected(), 2u);
}

TEST_F(Top, FilterLetsThroughWhatHasTheText) {
  type(view, "fbill");
  EXPECT_TRUE(view.typing());
  EXPECT_EQ(pids(view), std::vector{20});
  type(view, "q");
  EXPECT_FALSE(view.wants_quit()) << "q is a letter while one types";
  press(Key::kBackspace);
  press(Key::kEnter);
  EXPECT_FALSE(view.typing());
  EXPECT_EQ(pids(view), std::vector{20});
  press(Key::kEscape);
  EXPECT_EQ(pids(view).size(), 3u);
}

TEST_F(Top, FilterOfWideLettersIsTakenBackLetterByLetter) {
  type(view, "f");
  view.handle({Key::kText, U'世'});
  view.handle({Key::kText, U'\x1b'});
  EXPECT_EQ(view.filter(), "世");
  press(Key::kBackspace);
  EXPECT_EQ(view.filter(), "");
  press(Key::kBackspace);
  for (int i = 0; i < 1000; ++i) {
    type(view, "x");
  }
  EXPECT_LE(view.filter().size(), 64u);
}

TEST_F(Top, OpensATargetAndComesBack) {
  sort_by("PID");
  press(Key::kHome);
  press(Key::kEnter);
  EXPECT_EQ(view.page(), View::Page::kTarget);
  EXPECT_EQ(view.opened(), 10);
  type(view, "?");
  EXPECT_EQ(view.page(), View::Page::kHelp);
  press(Key::kEscape);
  EXPECT_EQ(view.page(), View::Page::kTarget);
  press(Key::kEscape);
  EXPECT_EQ(view.page(), View::Page::kTargets);
  EXPECT_FALSE(view.opened());
}

TEST_F(Top, SitesHaveAnOrderOfTheirOwn) {
  Snapshot next = snapshot();
  next.targets[1].places = {site("main.a", 5), site("main.b", 50), site("main.c", 1)};
  view.update(next);
  sort_by("PID");
  press(Key::kHome);
  press(Key::kEnter);
  const auto rows = view.site_rows(*view.opened_target());
  EXPECT_EQ(rows[0]->function, "main.b");
  type(view, "S");
  EXPECT_EQ(view.site_rows(*view.opened_target())[0]->function, "main.c");
  press(Key::kEscape);
  EXPECT_EQ(target_columns()[view.sort()].title, "PID");
}

TEST_F(Top, PauseKeepsTheScreen) {
  type(view, "p");
  view.update({});
  EXPECT_EQ(pids(view).size(), 3u);
  type(view, "p");
  view.update({});
  EXPECT_TRUE(pids(view).empty());
}

TEST_F(Top, IntervalGoesRound) {
  for (const std::uint64_t ms : {2000, 5000, 10'000, 500, 1000}) {
    type(view, "d");
    EXPECT_EQ(view.interval_ns(), ms * 1'000'000);
  }
}

TEST_F(Top, QuitsOnQ) {
  type(view, "jk?h");
  EXPECT_FALSE(view.wants_quit());
  type(view, "q");
  EXPECT_TRUE(view.wants_quit());
}

}  // namespace
}  // namespace mapwatch::tui
