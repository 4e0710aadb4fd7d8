// The columns of top's tables: what a cell says, and what sorting by it means. Screen, plain table and keys read these
// rows, so that a column is described once.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tui/grid.h"
#include "tui/snapshot.h"

namespace mapwatch::tui {

template <typename Row>
struct Column {
  std::string_view title;
  int width;     ///< cells; the last column takes what is left
  bool to_left;  ///< else its texts end at its right edge
  int rank;      ///< where a row is short, columns of the highest rank go first; 0: never
  std::string (*text)(const Row&);
  bool (*before)(const Row&, const Row&);  ///< the order of sorting by it: what matters most comes first
};

std::span<const Column<Target>> target_columns();
std::span<const Column<Site>> site_columns();

/// The columns that fit into `width` cells, in order.
template <typename Row>
std::vector<const Column<Row>*> fitting(std::span<const Column<Row>> columns, int width) {
  std::vector<const Column<Row>*> out;
  int total = 0;
  for (const Column<Row>& column : columns) {
    out.push_back(&column);
    total += column.width + 1;
  }
  while (total - 1 > width) {
    const auto least = std::ranges::max_element(out, {}, [](const Column<Row>* column) { return column->rank; });
    if (out.empty() || (*least)->rank == 0) {
      break;
    }
    total -= (*least)->width + 1;
    out.erase(least);
  }
  return out;
}

/// Draws one row of a table: `text(column)` in each cell. `ink(column)`: of each.
template <typename Row, typename Text, typename Look>
void put_row(Grid& grid, int row, const std::vector<const Column<Row>*>& columns, Text text, Look ink) {
  int at = 0;
  for (const Column<Row>* column : columns) {
    const bool last = column == columns.back();
    const std::string cell = text(*column);
    const int blank = column->to_left ? 0 : std::max(0, column->width - text_width(cell));
    grid.put(row, at + blank, cell, ink(*column), last ? Grid::kNoLimit : column->width - blank);
    at += column->width + 1;
  }
}

}  // namespace mapwatch::tui
