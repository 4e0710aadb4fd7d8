// A command in one text, as words, without a shell.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mapwatch {

/// Words are divided by blanks and tabs. '...' is taken as it is; in "..." a backslash takes the special meaning from
/// " and \ and stands for itself before anything else; outside of quotes it takes it from whatever follows. Quotes may
/// begin and end within a word. Nothing else means anything: no variables, patterns, pipes, comments. kUsage: a quote
/// is not closed, the text ends with a backslash, has a line end or a NUL, or no word.
Result<std::vector<std::string>> split_words(std::string_view text);

}  // namespace mapwatch
