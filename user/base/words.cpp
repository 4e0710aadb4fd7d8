#include "base/words.h"

#include <optional>
#include <utility>

namespace mapwatch {

Result<std::vector<std::string>> split_words(std::string_view text) {
  if (text.find_first_of(std::string_view("\n\r\0", 3)) != std::string_view::npos) {
    return fail(ErrorKind::kUsage, "a command is one line");
  }
  std::vector<std::string> words;
  std::optional<std::string> word;  // "" is a word, too
  char quote = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const bool escapes = c == '\\' && quote != '\'' &&
                         (quote == 0 || (at + 1 < text.size() && (text[at + 1] == '"' || text[at + 1] == '\\')));
    if (escapes) {
      if (++at == text.size()) {
        return fail(ErrorKind::kUsage, "nothing follows the last backslash");
      }
      word = word.value_or("") + text[at];
    } else if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
      word = word.value_or("");
    } else if (quote == 0 && (c == ' ' || c == '\t')) {
      if (word) {
        words.push_back(*std::exchange(word, std::nullopt));
      }
    } else {
      word = word.value_or("") + c;
    }
  }
  if (quote != 0) {
    return fail(ErrorKind::kUsage, std::string("the quote ") + quote + " is not closed");
  }
  if (word) {
    words.push_back(std::move(*word));
  }
  if (words.empty()) {
    return fail(ErrorKind::kUsage, "there is no command");
  }
  return words;
}

}  // namespace mapwatch
