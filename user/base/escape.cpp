#include "base/escape.h"

#include <algorithm>

#include <cstdint>

#include <fmt/format.h>

#include "base/utf8.h"

namespace mapwatch {
namespace {

bool acts_on_terminal(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

}  // namespace

std::string escape(std::string_view text, std::size_t limit) {
  constexpr std::string_view kCut = "...";
  std::string out;
  std::size_t room_for_cut = 0;  // as much of `out` as leaves room for kCut
  while (!text.empty()) {
    const CodePoint c = decode_utf8(text);
    const std::size_t taken = c.length == 0 ? 1 : c.length;
    std::string piece;
    if (c.length == 0 || (c.length == 1 && acts_on_terminal(c.value))) {
      piece = fmt::format("\\x{:02x}", static_cast<std::uint8_t>(text[0]));
    } else if (acts_on_terminal(c.value)) {
      piece = fmt::format("\\u{{{:x}}}", c.value);
    } else {
      piece = text.substr(0, taken);
    }
    text.remove_prefix(taken);
    if (out.size() + piece.size() > limit) {
      out.resize(room_for_cut);
      return out.append(kCut);
    }
    out += piece;
    if (out.size() + kCut.size() <= limit) {
      room_for_cut = out.size();
    }
  }
  return out;
}

std::string escape_lines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\n\t"), text.size());
    out += escape(text.substr(0, end), std::string::npos);
    out += text.substr(end, 1);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace mapwatch
