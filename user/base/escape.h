// Text of a watched process made fit for a terminal, a log and a file name: it is hostile input.
#pragma once

#include <string>
#include <string_view>

namespace mapwatch {

/// `text` with everything that a terminal could act upon written as `\xNN` (bytes) or `\u{NNNN}` (code points): C0 and
/// C1 controls, DEL, invalid UTF-8, line and paragraph separators, and the characters that reorder text. At most
/// `limit` bytes come out, a longer text ends with "...". Other UTF-8 is kept.
std::string escape(std::string_view text, std::size_t limit = 4096);

/// As escape(), line by line, without a limit: line ends and tabs stay.
std::string escape_lines(std::string_view text);

}  // namespace mapwatch
