#include "elf/buildinfo.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace mapwatch::elf {
namespace {

constexpr std::string_view kMagic = "\xff Go buildinf:";
constexpr std::uint64_t kAlign = 16;
constexpr std::uint64_t kHeaderSize = 32;
constexpr std::uint8_t kFlagBigEndian = 1;
constexpr std::uint8_t kFlagInline = 2;
constexpr std::size_t kMaxVersion = 256;
constexpr std::size_t kMaxModules = std::size_t{16} << 20;
// cmd/go wraps the module text in two 16-byte marks (cmd/go/internal/modload/build.go, infoStart and infoEnd).
constexpr std::size_t kMark = 16;

struct RawInfo {
  std::string_view version;
  std::string_view modules;
};

std::optional<std::uint64_t> first_magic(Bytes bytes, std::uint64_t address) {
  std::uint64_t at = (kAlign - address % kAlign) % kAlign;
  for (; at + kHeaderSize <= bytes.size(); at += kAlign) {
    if (std::memcmp(bytes.data() + at, kMagic.data(), kMagic.size()) == 0) {
      return at;
    }
  }
  return std::nullopt;
}

/// Address of the blob: the section's, else the first in writable data, where the linker has always put it.
std::optional<std::uint64_t> find_blob(const Image& image) {
  if (const Section* section = image.section(".go.buildinfo")) {
    const auto bytes = image.contents(*section);
    const auto at = bytes ? first_magic(*bytes, section->address) : std::nullopt;
    if (at) {
      return section->address + *at;
    }
  }
  for (const Segment& segment : image.loads()) {
    if (!segment.writable || segment.executable) {
      continue;
    }
    const auto at = first_magic(image.from(segment.address).value_or(Bytes()), segment.address);
    if (at) {
      return segment.address + *at;
    }
  }
  return std::nullopt;
}

/// A varint length and that many bytes; `at` moves behind them.
std::optional<std::string_view> inline_string(Bytes blob, std::uint64_t& at, std::size_t limit) {
  std::uint64_t length = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = blob.read<std::uint8_t>(at);
    if (!byte) {
      return std::nullopt;
    }
    ++at;
    length |= std::uint64_t{*byte & 0x7fU} << shift;
    if ((*byte & 0x80) == 0) {
      const auto text = length <= limit ? blob.sub(at, length) : std::nullopt;
      at += text ? length : 0;
      return text ? std::optional(text->text()) : std::nullopt;
    }
  }
  return std::nullopt;
}

/// The Go string whose header {pointer, length} the word at `address` points to.
std::optional<std::string_view> pointed_string(const Image& image, std::uint64_t address, std::size_t limit) {
  const auto header = image.word(address);
  const auto data = header ? image.word(*header) : std::nullopt;
  const auto length = header ? image.word(*header + 8) : std::nullopt;
  if (!data || !length || *length > limit) {
    return std::nullopt;
  }
  if (*length == 0) {
    return std::string_view();
  }
  const auto text = image.at(*data, *length);
  return text ? std::optional(text->text()) : std::nullopt;
}

std::optional<RawInfo> read_blob(const Image& image, std::uint64_t address) {
  const auto blob = image.from(address);
  const auto pointer_size = blob ? blob->read<std::uint8_t>(14) : std::nullopt;
  const auto flags = blob ? blob->read<std::uint8_t>(15) : std::nullopt;
  if (!pointer_size || !flags) {
    return std::nullopt;
  }
  if ((*flags & kFlagInline) != 0) {
    std::uint64_t at = kHeaderSize;
    const auto version = inline_string(*blob, at, kMaxVersion);
    const auto modules = version ? inline_string(*blob, at, kMaxModules) : std::nullopt;
    return version ? std::optional(RawInfo{*version, modules.value_or(std::string_view())}) : std::nullopt;
  }
  if (*pointer_size != 8 || (*flags & kFlagBigEndian) != 0) {
    return std::nullopt;
  }
  const auto version = pointed_string(image, address + 16, kMaxVersion);
  const auto modules = pointed_string(image, address + 24, kMaxModules);
  return version ? std::optional(RawInfo{*version, modules.value_or(std::string_view())}) : std::nullopt;
}

/// A key or value that cmd/go has quoted, as it was: strconv.Quote's escapes for quote, backslash and white space.
std::string unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') {
    return std::string(text);
  }
  text = text.substr(1, text.size() - 2);
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      plain += text[i];
      continue;
    }
    ++i;
    switch (text[i]) {
      case 'n':
        plain += '\n';
        break;
      case 't':
        plain += '\t';
        break;
      case '"':
      case '\\':
        plain += text[i];
        break;
      default:  // \xNN, \uNNNN: left as written
        plain += '\\';
        plain += text[i];
    }
  }
  return plain;
}

/// "build" lines are KEY=VALUE, either side quoted when it holds white space, quotes or "=" (debug.BuildInfo.String).
void add_setting(BuildInfo& info, std::string_view line) {
  std::size_t split = line.find('=');
  if (line.starts_with('"')) {
    std::size_t end = 1;
    while (end < line.size() && line[end] != '"') {
      end += line[end] == '\\' ? 2 : 1;
    }
    split = line.find('=', std::min(end, line.size()));
  }
  if (split != std::string_view::npos) {
    info.settings.emplace_back(unquoted(line.substr(0, split)), unquoted(line.substr(split + 1)));
  }
}

void parse_modules(std::string_view text, BuildInfo& info) {
  if (text.size() < 2 * kMark + 1 || text[text.size() - kMark - 1] != '\n') {
    return;
  }
  text = text.substr(kMark, text.size() - 2 * kMark);
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    constexpr std::string_view kPath = "path\t";
    constexpr std::string_view kBuild = "build\t";
    if (line.starts_with(kPath)) {
      info.path = line.substr(kPath.size());
    } else if (line.starts_with(kBuild)) {
      add_setting(info, line.substr(kBuild.size()));
    }
  }
}

}  // namespace

std::optional<GoVersion> parse_version(std::string_view text) {
  constexpr std::string_view kPrefix = "go1.";
  const std::size_t start = text.find(kPrefix);
  if (start == std::string_view::npos) {
    return std::nullopt;
  }
  GoVersion version;
  version.text = text;
  const char* end = text.data() + text.size();
  const auto minor = std::from_chars(text.data() + start + kPrefix.size(), end, version.minor);
  if (minor.ec != std::errc() || version.minor < 0) {
    return std::nullopt;
  }
  version.development = text.starts_with("devel") || (minor.ptr != end && *minor.ptr == '-');
  if (minor.ptr != end && *minor.ptr == '.') {
    const auto patch = std::from_chars(minor.ptr + 1, end, version.patch);
    if (patch.ec != std::errc() || version.patch < 0) {
      version.patch = 0;
    }
  }
  return version;
}

Result<BuildInfo> read_build_info(const Image& image) {
  const auto address = find_blob(image);
  if (!address) {
    return fail(ErrorKind::kMalformed, "no Go build info: not a program built by Go");
  }
  const auto raw = read_blob(image, *address);
  if (!raw) {
    return fail(ErrorKind::kMalformed, fmt::format("corrupt Go build info at {:#x}", *address));
  }
  const auto version = parse_version(raw->version);
  if (!version) {
    return fail(ErrorKind::kMalformed, "Go build info holds no Go version of the form go1.N",
                "programs whose version was removed (garble, for one) cannot be watched");
  }
  BuildInfo info;
  info.version = *version;
  parse_modules(raw->modules, info);
  return info;
}

Result<BuildInfo> read_build_info(Bytes file) {
  const Image image = TRY(Image::parse(file));
  return read_build_info(image);
}

}  // namespace mapwatch::elf
