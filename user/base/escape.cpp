#include "base/escape.h"

#include <algorithm>

#include <cstdint>

#include <fmt/format.h>

namespace mapwatch {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;  ///< 0: not UTF-8
};

/// The first code point of a non-empty `text`; over-long forms, surrogates and cut sequences are refused (RFC 3629).
CodePoint decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) {
    return {first, 1};
  }
  const std::size_t length = first >= 0xf0 && first <= 0xf4 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length == 0 || first > 0xf4 || text.size() < length) {
    return {};
  }
  std::uint32_t value = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return {};
    }
    value = (value << 6) | (byte(i) & 0x3fu);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  return overlong || surrogate || value > 0x10ffff ? CodePoint{} : CodePoint{value, length};
}

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
