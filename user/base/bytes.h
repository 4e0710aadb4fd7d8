// A bounds-checked view of bytes that nobody vouches for: a target's ELF, its memory, a recorded file.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace mapwatch {

/// Little-endian reads at byte offsets; every read answers nullopt outside the view. Never owns.
class Bytes {
 public:
  Bytes() = default;
  explicit Bytes(std::span<const std::byte> data) : data_(data) {}
  Bytes(const void* data, std::size_t size) : data_(static_cast<const std::byte*>(data), size) {}

  std::size_t size() const { return data_.size(); }
  bool empty() const { return data_.empty(); }
  std::span<const std::byte> span() const { return data_; }
  const std::byte* data() const { return data_.data(); }

  /// The T at `offset`, which need not be aligned.
  template <typename T>
  std::optional<T> read(std::uint64_t offset) const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (offset > data_.size() || data_.size() - offset < sizeof(T)) {
      return std::nullopt;
    }
    T value;
    std::memcpy(&value, data_.data() + offset, sizeof(T));
    return value;
  }

  /// `length` bytes from `offset`; nullopt unless all of them are inside.
  std::optional<Bytes> sub(std::uint64_t offset, std::uint64_t length) const {
    if (offset > data_.size() || data_.size() - offset < length) {
      return std::nullopt;
    }
    return Bytes(data_.subspan(offset, length));
  }

  /// From `offset` to the end; nullopt when `offset` is outside.
  std::optional<Bytes> from(std::uint64_t offset) const {
    if (offset > data_.size()) {
      return std::nullopt;
    }
    return Bytes(data_.subspan(offset));
  }

  /// The NUL-terminated string at `offset`, at most `limit` bytes; nullopt when no NUL is found within.
  std::optional<std::string_view> c_string(std::uint64_t offset, std::size_t limit = 4096) const {
    if (offset >= data_.size()) {
      return std::nullopt;
    }
    const auto* begin = reinterpret_cast<const char*>(data_.data() + offset);
    const std::size_t room = std::min<std::size_t>(limit, data_.size() - offset);
    const void* end = std::memchr(begin, 0, room);
    if (end == nullptr) {
      return std::nullopt;
    }
    return std::string_view(begin, static_cast<std::size_t>(static_cast<const char*>(end) - begin));
  }

  std::string_view text() const { return {reinterpret_cast<const char*>(data_.data()), data_.size()}; }

 private:
  std::span<const std::byte> data_;
};

}  // namespace mapwatch
