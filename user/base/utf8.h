// Code points of UTF-8 text (RFC 3629).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mapwatch {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;  ///< bytes; 0: not UTF-8
};

/// The first code point of a non-empty `text`; over-long forms, surrogates and cut sequences are refused.
CodePoint decode_utf8(std::string_view text);
/// Appends the bytes of a code point below 0x110000 that is no surrogate.
void append_utf8(std::string& text, std::uint32_t code_point);

}  // namespace mapwatch
