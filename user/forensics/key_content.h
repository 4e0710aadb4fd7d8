// What Go's == sees of a key, as bytes: two keys are equal exactly when their contents are.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "forensics/go_type.h"

namespace mapwatch::forensics {

enum class KeyContent {
  kWhole,
  kUnequal,     ///< not equal even to itself (NaN): any number of them may be in a map
  kUnreadable,  ///< a part of it cannot be read
  kUnknown,     ///< too deep or too long to compare
};

/// Appends the content of the value `bytes` of `type` to `out`. Strings and interfaces are followed, pointers are not.
/// `memory`: the target's, as `types` reads it.
KeyContent key_content(TypeReader& types, const Memory& memory, const GoType& type, std::span<const std::uint8_t> bytes,
                       std::string& out);

}  // namespace mapwatch::forensics
