// A screen as values: rows of cells. Everything that is drawn goes through Grid::put, which makes text of watched
// processes harmless; what shows a Grid on a terminal adds nothing to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mapwatch::tui {

/// How a cell looks; colours are the terminal's business.
enum class Ink : std::uint8_t { kPlain, kStrong, kFaint, kHeading, kSelected, kWarning, kAlarm };

struct Cell {
  char32_t glyph = U' ';  ///< 0: the right half of the wide glyph before it
  Ink ink = Ink::kPlain;
};

struct Size {
  int rows = 0;
  int columns = 0;
};

/// Cells that a code point takes: 2 for the wide and full-width ones of East Asian Width (Unicode 15, UAX #11) and for
/// emoji, 0 for combining marks and joiners, else 1.
int cell_width(char32_t code_point);
/// The same of a text as Grid::put draws it.
int text_width(std::string_view text);

class Grid {
 public:
  /// Blank. A negative size counts as 0.
  explicit Grid(Size size);

  Size size() const { return size_; }
  /// Draws `text` from this cell on, cut at `limit` columns (by default the row's end). Control characters, invalid
  /// UTF-8 and what reorders text are written as escapes (base/escape.h). Outside of the grid nothing is drawn. The
  /// column after the text.
  int put(int row, int column, std::string_view text, Ink ink = Ink::kPlain, int limit = kNoLimit);
  /// Gives a whole row this ink.
  void paint(int row, Ink ink);

  /// `row` and `column` must be in the grid.
  const Cell& at(int row, int column) const { return cells_[index(row, column)]; }
  /// UTF-8, without the blanks at its end.
  std::string line(int row) const;
  /// All lines, each with its newline, without the blank ones at the end.
  std::string text() const;

  static constexpr int kNoLimit = 1 << 20;

 private:
  std::size_t index(int row, int column) const {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(size_.columns) + static_cast<std::size_t>(column);
  }
  Size size_;
  std::vector<Cell> cells_;
};

}  // namespace mapwatch::tui
