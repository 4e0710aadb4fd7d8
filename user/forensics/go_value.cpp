#include "forensics/go_value.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "base/escape.h"

namespace mapwatch::forensics {
namespace {

constexpr std::uint64_t kMaxValue = 64 * 1024;  // bytes of one value; larger ones are cut

template <typename T>
T take(std::span<const std::uint8_t> bytes, std::size_t offset = 0) {
  T value{};
  if (offset + sizeof(T) <= bytes.size()) {
    std::memcpy(&value, bytes.data() + offset, sizeof value);
  }
  return value;
}

class ValuePrinter {
 public:
  ValuePrinter(TypeReader& types, const ValueStyle& style) : types_(types), style_(style) {}

  void value(const GoType& type, std::span<const std::uint8_t> bytes, int depth) {
    if (out_.size() >= style_.text) {
      return;
    }
    if (bytes.size() < std::min(type.size, kMaxValue)) {
      out_ += "cut";
      return;
    }
    switch (type.kind) {
      case GoKind::kBool:
        return scalar(type, bytes[0] == 0 ? "false" : bytes[0] == 1 ? "true" : fmt::format("bool({:#x})", bytes[0]));
      case GoKind::kInt8:
        return scalar(type, fmt::format("{}", take<std::int8_t>(bytes)));
      case GoKind::kInt16:
        return scalar(type, fmt::format("{}", take<std::int16_t>(bytes)));
      case GoKind::kInt32:
        return scalar(type, fmt::format("{}", take<std::int32_t>(bytes)));
      case GoKind::kInt:
      case GoKind::kInt64:
        return scalar(type, fmt::format("{}", take<std::int64_t>(bytes)));
      case GoKind::kUint8:
        return scalar(type, fmt::format("{}", bytes[0]));
      case GoKind::kUint16:
        return scalar(type, fmt::format("{}", take<std::uint16_t>(bytes)));
      case GoKind::kUint32:
        return scalar(type, fmt::format("{}", take<std::uint32_t>(bytes)));
      case GoKind::kUint:
      case GoKind::kUint64:
      case GoKind::kUintptr:
        return scalar(type, fmt::format("{}", take<std::uint64_t>(bytes)));
      case GoKind::kFloat32:
        return scalar(type, fmt::format("{}", take<float>(bytes)));
      case GoKind::kFloat64:
        return scalar(type, fmt::format("{}", take<double>(bytes)));
      case GoKind::kComplex64:
        return scalar(type, fmt::format("({}{:+}i)", take<float>(bytes), take<float>(bytes, 4)));
      case GoKind::kComplex128:
        return scalar(type, fmt::format("({}{:+}i)", take<double>(bytes), take<double>(bytes, 8)));
      case GoKind::kString:
        return text(type, take<std::uint64_t>(bytes), take<std::uint64_t>(bytes, 8));
      case GoKind::kStruct:
        return structure(type, bytes, depth);
      case GoKind::kArray:
        return array(type, bytes, depth);
      case GoKind::kSlice:
        return slice(type, bytes, depth);
      case GoKind::kInterface:
        return interface(type, bytes, depth);
      case GoKind::kPointer:
      case GoKind::kChan:
      case GoKind::kFunc:
      case GoKind::kMap:
      case GoKind::kUnsafePointer:
        return pointer(type, take<std::uint64_t>(bytes));
      case GoKind::kInvalid:
        out_ += "?";
        return;
    }
  }

  std::string take_text() {
    if (out_.size() > style_.text) {
      out_.resize(style_.text);
      out_ = escape(out_, style_.text + 8) + "...";  // a code point cut in two is made fit again
    }
    return std::move(out_);
  }

 private:
  std::string type_name(const GoType& type) { return escape(types_.name(type), 128); }

  void scalar(const GoType& type, const std::string& shown) { out_ += style_.redact ? type_name(type) : shown; }

  void text(const GoType& type, std::uint64_t address, std::uint64_t length) {
    if (style_.redact || length > TypeReader::kMaxSize) {
      out_ += length > TypeReader::kMaxSize ? fmt::format("{}(length {:#x})", type_name(type), length)
                                            : fmt::format("{}({} bytes)", type_name(type), length);
      return;
    }
    std::string bytes(std::min<std::uint64_t>(length, style_.string_bytes), '\0');
    if (!bytes.empty() &&
        !types_.memory().read(address, {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()})) {
      out_ += fmt::format("{}({} bytes at {:#x}, unreadable)", type_name(type), length, address);
      return;
    }
    out_ += '"';
    for (const char c : bytes) {
      if (c == '"' || c == '\\') {
        quoted_ += '\\';
      }
      quoted_ += c;
    }
    // Quotes and backslashes of the string are doubled first, so that escapes stay tellable from text.
    out_ += escape(quoted_, 8 * style_.string_bytes + 8);
    quoted_.clear();
    out_ += '"';
    if (bytes.size() < length) {
      out_ += fmt::format("... +{}", length - bytes.size());
    }
  }

  void structure(const GoType& type, std::span<const std::uint8_t> bytes, int depth) {
    out_ += type_name(type) + "{";
    if (depth <= 0) {
      out_ += type.fields.empty() ? "}" : "...}";
      return;
    }
    bool first = true;
    for (const GoField& field : type.fields) {
      if (out_.size() >= style_.text) {
        break;
      }
      const auto part = types_.at(field.type);
      out_ += (first ? "" : ", ") + escape(field.name, 64) + ": ";
      first = false;
      if (!part || field.offset > bytes.size()) {
        out_ += "?";
      } else {
        value(**part, bytes.subspan(field.offset), depth - 1);
      }
    }
    out_ += "}";
  }

  void elements(const GoType& part, std::span<const std::uint8_t> bytes, std::uint64_t length, int depth) {
    const std::uint64_t shown = depth <= 0 ? 0 : std::min<std::uint64_t>(length, style_.elements);
    out_ += "{";
    for (std::uint64_t i = 0; i < shown && out_.size() < style_.text && i * part.size <= bytes.size(); ++i) {
      out_ += i == 0 ? "" : ", ";
      value(part, bytes.subspan(i * part.size), depth - 1);
    }
    if (shown < length) {
      out_ += fmt::format("{}... +{}", shown == 0 ? "" : ", ", length - shown);
    }
    out_ += "}";
  }

  void array(const GoType& type, std::span<const std::uint8_t> bytes, int depth) {
    const auto part = types_.at(type.element);
    out_ += type_name(type);
    if (part) {
      elements(**part, bytes, type.length, depth);
    }
  }

  void slice(const GoType& type, std::span<const std::uint8_t> bytes, int depth) {
    const auto address = take<std::uint64_t>(bytes);
    const auto length = take<std::uint64_t>(bytes, 8);
    const auto part = types_.at(type.element);
    if (address == 0 && length == 0) {
      out_ += "nil";
      return;
    }
    out_ += type_name(type);
    if (!part || style_.redact || length > TypeReader::kMaxSize) {
      out_ += fmt::format("(length {})", length);
      return;
    }
    const std::uint64_t shown = std::min<std::uint64_t>(length, style_.elements);
    std::vector<std::uint8_t> read(std::min(shown * std::min((*part)->size, kMaxValue), kMaxValue));
    if (depth > 0 && !read.empty() && !types_.memory().read(address, read)) {
      out_ += fmt::format("({} at {:#x}, unreadable)", length, address);
      return;
    }
    elements(**part, read, length, depth);
  }

  void interface(const GoType& type, std::span<const std::uint8_t> bytes, int depth) {
    auto descriptor = take<std::uint64_t>(bytes);
    const auto data = take<std::uint64_t>(bytes, 8);
    if (descriptor == 0) {
      out_ += "nil";
      return;
    }
    if (type.length != 0) {
      descriptor = types_.memory().word(descriptor + 8).value_or(0);  // abi.ITab: Inter 0, Type 8
    }
    const auto dynamic = types_.at(descriptor);
    if (!dynamic) {
      out_ += fmt::format("{}(type at {:#x}, unreadable)", type_name(type), descriptor);
      return;
    }
    const bool named = (*dynamic)->kind == GoKind::kStruct || (*dynamic)->kind == GoKind::kArray ||
                       (*dynamic)->kind == GoKind::kSlice || (*dynamic)->kind == GoKind::kPointer || style_.redact;
    out_ += named ? "" : type_name(**dynamic) + "(";
    if ((*dynamic)->direct_interface) {
      value(**dynamic, bytes.subspan(8, 8), depth - 1);
    } else if (depth <= 0) {
      out_ += "...";
    } else {
      std::vector<std::uint8_t> boxed(std::min((*dynamic)->size, kMaxValue));
      if (types_.memory().read(data, boxed)) {
        value(**dynamic, boxed, depth - 1);
      } else {
        out_ += fmt::format("at {:#x}, unreadable", data);
      }
    }
    out_ += named ? "" : ")";
  }

  void pointer(const GoType& type, std::uint64_t address) {
    if (address == 0) {
      out_ += "nil";
    } else if (style_.redact) {
      out_ += type_name(type);
    } else {
      out_ += fmt::format("({})({:#x})", type_name(type), address);
    }
  }

  TypeReader& types_;
  const ValueStyle& style_;
  std::string out_;
  std::string quoted_;
};

}  // namespace

std::string value_text(TypeReader& types, const GoType& type, std::span<const std::uint8_t> bytes,
                       const ValueStyle& style) {
  ValuePrinter printer(types, style);
  printer.value(type, bytes, style.depth);
  return printer.take_text();
}

std::string value_text(TypeReader& types, const GoType& type, std::uint64_t address, const ValueStyle& style) {
  std::vector<std::uint8_t> bytes(std::min(type.size, kMaxValue));
  return types.memory().read(address, bytes) ? value_text(types, type, bytes, style)
                                             : fmt::format("unreadable at {:#x}", address);
}

}  // namespace mapwatch::forensics
