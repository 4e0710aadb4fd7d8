// Code as hex digits, as disassemblers print it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace mapwatch::test {

/// The bytes of "49 3b6610"; spaces separate as they like.
class Code {
 public:
  explicit Code(std::string_view hex) { append(hex); }
  Code& append(std::string_view hex) {
    int high = -1;
    for (const char c : hex) {
      if (c == ' ') {
        continue;
      }
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (digit < 0) {
        throw std::invalid_argument("not hex");
      }
      if (high < 0) {
        high = digit;
      } else {
        data_.push_back(static_cast<std::byte>(high * 16 + digit));
        high = -1;
      }
    }
    return *this;
  }
  /// Four bytes, lowest first.
  Code& append32(std::uint32_t value) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      data_.push_back(static_cast<std::byte>(value >> shift));
    }
    return *this;
  }
  /// int3 up to `size`, as the linker pads.
  Code& pad(std::size_t size) {
    data_.resize(size, std::byte{0xcc});
    return *this;
  }
  Bytes bytes() const { return Bytes(data_); }
  std::size_t size() const { return data_.size(); }

 private:
  std::vector<std::byte> data_;
};

}  // namespace mapwatch::test
