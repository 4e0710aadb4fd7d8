#include "ops/glob.h"

namespace mapwatch::ops {

std::string promql_regex(std::string_view glob) {
  std::string regex;
  bool in_set = false;
  for (std::size_t i = 0; i < glob.size(); ++i) {
    const char c = glob[i];
    if (in_set) {
      // The first character of a set may be its end, or a !.
      const bool first = glob[i - 1] == '[' || (glob[i - 1] == '!' && i >= 2 && glob[i - 2] == '[');
      in_set = c != ']' || first;
      regex += c == '!' && glob[i - 1] == '[' ? "^" : c == '\\' || c == '[' ? std::string("\\") + c : std::string(1, c);
    } else if (c == '*') {
      regex += ".*";
    } else if (c == '?') {
      regex += '.';
    } else if (c == '[' && glob.find(']', i + 2) != std::string_view::npos) {
      in_set = true;
      regex += c;
    } else {
      if (std::string_view("\\.+()[]{}^$|").find(c) != std::string_view::npos) {
        regex += '\\';
      }
      regex += c;
    }
  }
  std::string quoted = "\"";
  for (const char c : glob.empty() ? std::string(".*") : regex) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
    }
    quoted += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return quoted + "\"";
}

}  // namespace mapwatch::ops
