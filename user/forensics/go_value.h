// A Go value as text, by its type: bounded in depth and length, control characters escaped, or redacted to its shape.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "forensics/go_type.h"

namespace mapwatch::forensics {

struct ValueStyle {
  bool redact = false;            ///< types and lengths instead of contents
  int depth = 4;                  ///< of structs, arrays, slices, interfaces and pointers within each other
  std::size_t elements = 8;       ///< of an array or slice
  std::size_t string_bytes = 96;  ///< of a string; the rest is "..."
  std::size_t text = 1024;        ///< characters in all
};

/// The value `bytes` of `type` in Go's own syntax where there is one: 7, "a", []int{1, 2, ... +7}, main.Point{X: 1},
/// (*main.Session)(0xc000012345), nil.
std::string value_text(TypeReader& types, const GoType& type, std::span<const std::uint8_t> bytes,
                       const ValueStyle& style);
/// The value at `address`; "unreadable" when it cannot be read.
std::string value_text(TypeReader& types, const GoType& type, std::uint64_t address, const ValueStyle& style);

}  // namespace mapwatch::forensics
