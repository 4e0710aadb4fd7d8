#include "forensics/key_content.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace mapwatch::forensics {
namespace {

constexpr int kDepth = 8;
constexpr std::uint64_t kMaxLength = 64 * 1024;  // of one string or boxed value
constexpr std::size_t kMaxContent = 256 * 1024;
constexpr int kMaxSteps = 1024;  // parts of one key: types that lie could have any number of them

class ContentReader {
 public:
  ContentReader(TypeReader& types, const Memory& memory, std::string& out)
      : types_(types), memory_(memory), out_(out) {}

  KeyContent value(const GoType& type, std::span<const std::uint8_t> bytes, int depth) {
    if (bytes.size() < type.size || depth <= 0 || out_.size() > kMaxContent || ++steps_ > kMaxSteps) {
      return KeyContent::kUnknown;
    }
    bytes = bytes.first(type.size);
    if (type.regular_memory) {
      append(bytes);
      return KeyContent::kWhole;
    }
    switch (type.kind) {
      case GoKind::kString:
        return text(word(bytes, 0), word(bytes, 8));
      case GoKind::kInterface:
        return interface(type, bytes, depth);
      case GoKind::kFloat32:
      case GoKind::kComplex64:
        return floats<float>(bytes);
      case GoKind::kFloat64:
      case GoKind::kComplex128:
        return floats<double>(bytes);
      case GoKind::kStruct:
        return structure(type, bytes, depth);
      case GoKind::kArray:
        return array(type, bytes, depth);
      default:
        append(bytes);
        return KeyContent::kWhole;
    }
  }

 private:
  static std::uint64_t word(std::span<const std::uint8_t> bytes, std::size_t offset) {
    std::uint64_t value = 0;
    if (offset + 8 <= bytes.size()) {
      std::memcpy(&value, bytes.data() + offset, 8);
    }
    return value;
  }

  void append(std::span<const std::uint8_t> bytes) {
    out_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  /// A length, then that many bytes at `address`.
  KeyContent text(std::uint64_t address, std::uint64_t length) {
    if (length > kMaxLength) {
      return length > TypeReader::kMaxSize ? KeyContent::kUnreadable : KeyContent::kUnknown;
    }
    out_.append(reinterpret_cast<const char*>(&length), sizeof length);
    const std::size_t start = out_.size();
    out_.resize(start + length);
    const bool good =
        length == 0 || memory_.read(address, {reinterpret_cast<std::uint8_t*>(out_.data() + start), length});
    return good ? KeyContent::kWhole : KeyContent::kUnreadable;
  }

  template <typename T>
  KeyContent floats(std::span<const std::uint8_t> bytes) {
    for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
      T number;
      std::memcpy(&number, bytes.data() + at, sizeof number);
      if (std::isnan(number)) {
        return KeyContent::kUnequal;
      }
      number = number == 0 ? T{0} : number;  // +0 equals -0
      out_.append(reinterpret_cast<const char*>(&number), sizeof number);
    }
    return KeyContent::kWhole;
  }

  KeyContent interface(const GoType& type, std::span<const std::uint8_t> bytes, int depth) {
    std::uint64_t descriptor = word(bytes, 0);
    if (descriptor != 0 && type.length != 0) {
      descriptor = memory_.word(descriptor + 8).value_or(0);  // abi.ITab: Inter 0, Type 8
      if (descriptor == 0) {
        return KeyContent::kUnreadable;
      }
    }
    out_.append(reinterpret_cast<const char*>(&descriptor), sizeof descriptor);
    if (descriptor == 0) {
      return KeyContent::kWhole;
    }
    const auto dynamic = types_.at(descriptor);
    if (!dynamic) {
      return KeyContent::kUnreadable;
    }
    if ((*dynamic)->direct_interface) {
      append(bytes.subspan(8, 8));
      return KeyContent::kWhole;
    }
    if ((*dynamic)->size > kMaxLength) {
      return KeyContent::kUnknown;
    }
    std::vector<std::uint8_t> boxed((*dynamic)->size);
    if (!memory_.read(word(bytes, 8), boxed)) {
      return KeyContent::kUnreadable;
    }
    return value(**dynamic, boxed, depth - 1);
  }

  KeyContent structure(const GoType& type, std::span<const std::uint8_t> bytes, int depth) {
    for (const GoField& field : type.fields) {
      if (field.name == "_") {
        continue;  // == passes over blank fields
      }
      const auto part = types_.at(field.type);
      if (!part || field.offset > bytes.size()) {
        return KeyContent::kUnreadable;
      }
      if (const KeyContent got = value(**part, bytes.subspan(field.offset), depth - 1); got != KeyContent::kWhole) {
        return got;
      }
    }
    return KeyContent::kWhole;
  }

  KeyContent array(const GoType& type, std::span<const std::uint8_t> bytes, int depth) {
    const auto part = types_.at(type.element);
    if (!part) {
      return KeyContent::kUnreadable;
    }
    const std::uint64_t stride = (*part)->size;
    if (stride != 0 && type.length > bytes.size() / stride) {
      return KeyContent::kUnknown;
    }
    for (std::uint64_t i = 0; stride != 0 && i < type.length; ++i) {
      const KeyContent got = value(**part, bytes.subspan(i * stride, stride), depth - 1);
      if (got != KeyContent::kWhole) {
        return got;
      }
    }
    return KeyContent::kWhole;
  }

  TypeReader& types_;
  const Memory& memory_;
  std::string& out_;
  int steps_ = 0;
};

}  // namespace

KeyContent key_content(TypeReader& types, const Memory& memory, const GoType& type, std::span<const std::uint8_t> bytes,
                       std::string& out) {
  return ContentReader(types, memory, out).value(type, bytes, kDepth);
}

}  // namespace mapwatch::forensics
