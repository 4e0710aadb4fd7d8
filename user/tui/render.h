// A View, drawn. Pure.
#pragma once

#include <string>

#include "tui/grid.h"
#include "tui/view.h"

namespace mapwatch::tui {

struct Drawn {
  Grid grid;
  int most_scroll = 0;  ///< for View::limit_scroll
};

/// Any size will do; what does not fit is not there.
Drawn render(const View& view, Size size);

/// The table of targets for a pipe or a file: all columns, all rows, lines of what was found below.
std::string plain_table(const Snapshot& snapshot);
/// One object a line and target: kind "target" (docs/top.md).
std::string json_lines(const Snapshot& snapshot);

}  // namespace mapwatch::tui
