// FNV-1a of 64 bits (draft-eastlake-fnv).
#pragma once

#include <cstdint>
#include <string_view>

namespace mapwatch {

class Fnv1a {
 public:
  void add(std::uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3u; }
  void add(std::string_view text) {
    for (const char c : text) {
      add(static_cast<std::uint8_t>(c));
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace mapwatch
