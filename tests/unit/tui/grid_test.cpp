#include "tui/grid.h"

#include <gtest/gtest.h>

namespace mapwatch::tui {
namespace {

TEST(Grid, TextIsCutAtItsLimitAndTheRowsEnd) {
  Grid grid({2, 8});
  EXPECT_EQ(grid.put(0, 2, "abcdefgh"), 8);
  EXPECT_EQ(grid.put(1, 0, "abcdefgh", Ink::kPlain, 3), 3);
  EXPECT_EQ(grid.line(0), "  abcdef");
  EXPECT_EQ(grid.line(1), "abc");
  EXPECT_EQ(grid.text(), "  abcdef\nabc\n");
}

TEST(Grid, NothingIsDrawnOutside) {
  Grid grid({2, 4});
  grid.put(-1, 0, "no");
  grid.put(2, 0, "no");
  grid.put(0, 4, "no");
  grid.put(1, -2, "nope");
  grid.paint(7, Ink::kAlarm);
  EXPECT_EQ(grid.line(0), "");
  EXPECT_EQ(grid.line(1), "pe");
  Grid none({-3, 5});
  none.put(0, 0, "x");
  EXPECT_EQ(none.text(), "");
}

TEST(Grid, ControlCharactersAreWrittenOut) {
  Grid grid({1, 80});
  grid.put(0, 0, "a\x1b[31m\nb\x7f\xff\xc2\x9b\xe2\x80\xae");
  EXPECT_EQ(grid.line(0), "a\\x1b[31m\\x0ab\\x7f\\xff\\u{9b}\\u{202e}");
}

TEST(Grid, WideGlyphsTakeTwoCells) {
  Grid grid({1, 5});
  EXPECT_EQ(grid.put(0, 0, "世界人"), 4) << "half a glyph is not drawn";
  EXPECT_EQ(grid.line(0), "世界");
  EXPECT_EQ(grid.at(0, 0).glyph, U'世');
  EXPECT_EQ(grid.at(0, 1).glyph, U'\0');
  EXPECT_EQ(text_width("世界x"), 5);
  EXPECT_EQ(text_width("🙂"), 2);
}

TEST(Grid, MarksTakeNoCell) {
  Grid grid({1, 10});
  EXPECT_EQ(grid.put(0, 0, "e\xcc\x81x"), 2);
  EXPECT_EQ(grid.line(0), "ex");
}

TEST(Grid, PaintsARow) {
  Grid grid({2, 3});
  grid.put(0, 0, "a", Ink::kStrong);
  grid.paint(0, Ink::kSelected);
  EXPECT_EQ(grid.at(0, 0).ink, Ink::kSelected);
  EXPECT_EQ(grid.at(0, 2).ink, Ink::kSelected);
  EXPECT_EQ(grid.at(1, 0).ink, Ink::kPlain);
}

}  // namespace
}  // namespace mapwatch::tui
