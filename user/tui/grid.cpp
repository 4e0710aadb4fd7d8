#include "tui/grid.h"

#include <algorithm>

#include "base/escape.h"
#include "base/utf8.h"

namespace mapwatch::tui {

namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Unicode 15: EastAsianWidth.txt (W and F) with small gaps closed, and DerivedGeneralCategory.txt (Mn, Me) of the
// blocks that hold nothing else.
constexpr Range kWide[] = {{0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x2e80, 0x303e},
                           {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0xa4cf},   {0xa960, 0xa97f},
                           {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                           {0xffe0, 0xffe6},   {0x16fe0, 0x18aff}, {0x1b000, 0x1b2ff}, {0x1f300, 0x1f64f},
                           {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd}};
constexpr Range kNoWidth[] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},
                              {0x64b, 0x65f},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff},
                              {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef}};

template <std::size_t N>
bool in(const Range (&ranges)[N], char32_t code_point) {
  return std::ranges::any_of(ranges, [&](const Range& r) { return code_point >= r.first && code_point <= r.last; });
}

/// Calls `each` with the code points of the harmless form of `text`, until it answers false.
template <typename Each>
void for_each_glyph(std::string_view text, Each each) {
  const std::string harmless = escape(text);
  for (std::string_view rest = harmless; !rest.empty();) {
    const CodePoint c = decode_utf8(rest);
    if (!each(static_cast<char32_t>(c.value))) {
      return;
    }
    rest.remove_prefix(std::max<std::size_t>(c.length, 1));
  }
}

}  // namespace

int cell_width(char32_t code_point) {
  if (code_point < 0x300) {
    return 1;
  }
  return in(kNoWidth, code_point) ? 0 : in(kWide, code_point) ? 2 : 1;
}

int text_width(std::string_view text) {
  int width = 0;
  for_each_glyph(text, [&](char32_t glyph) {
    width += cell_width(glyph);
    return true;
  });
  return width;
}

Grid::Grid(Size size)
    : size_{std::max(size.rows, 0), std::max(size.columns, 0)},
      cells_(static_cast<std::size_t>(size_.rows) * static_cast<std::size_t>(size_.columns)) {}

int Grid::put(int row, int column, std::string_view text, Ink ink, int limit) {
  const int end = std::min(size_.columns, column < kNoLimit - limit ? column + limit : kNoLimit);
  if (row < 0 || row >= size_.rows) {
    return column;
  }
  for_each_glyph(text, [&](char32_t glyph) {
    const int width = cell_width(glyph);
    if (width == 0) {
      return true;  // a mark on a glyph: a cell holds one code point
    }
    if (column + width > end) {
      return false;
    }
    if (column >= 0) {
      cells_[index(row, column)] = {glyph, ink};
      if (width == 2) {
        cells_[index(row, column + 1)] = {0, ink};
      }
    }
    column += width;
    return true;
  });
  return column;
}

void Grid::paint(int row, Ink ink) {
  if (row < 0 || row >= size_.rows) {
    return;
  }
  for (int column = 0; column < size_.columns; ++column) {
    cells_[index(row, column)].ink = ink;
  }
}

std::string Grid::line(int row) const {
  std::string out;
  for (int column = 0; column < size_.columns; ++column) {
    if (const char32_t glyph = at(row, column).glyph; glyph != 0) {
      append_utf8(out, glyph);
    }
  }
  out.resize(out.find_last_not_of(' ') + 1);
  return out;
}

std::string Grid::text() const {
  std::string out;
  for (int row = 0; row < size_.rows; ++row) {
    out += line(row) + '\n';
  }
  const std::size_t last = out.find_last_not_of('\n');
  out.resize(last == std::string::npos ? 0 : last + 2);
  return out;
}

}  // namespace mapwatch::tui
