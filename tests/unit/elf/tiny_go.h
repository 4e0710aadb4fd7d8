// The smallest file that GoBinary accepts, byte by byte: two functions, one inlined call, one map type. Tests spoil
// one thing at a time.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace mapwatch::test {

/// The header of an executable for this machine, without tables.
Elf64_Ehdr executable_header();

/// Places are offsets in the file; the address of each is kBase + offset. Magic 0xfffffff1 (Go 1.20+) and build info
/// with inline strings. The inlined call covers bytes 16..31 of main.main and stands at its byte 8. main.main has
/// a frame of 24 bytes but for its first and last 4 bytes of code.
class TinyGo {
 public:
  static constexpr std::uint64_t kBase = 0x400000;
  static constexpr std::uint64_t kText = 0x400;
  static constexpr std::uint64_t kMain = kText;         ///< main.main, 64 bytes
  static constexpr std::uint64_t kAssign = kText + 64;  ///< runtime.mapassign_faststr, 32 bytes
  static constexpr std::uint64_t kTextEnd = kText + 96;
  static constexpr std::uint64_t kPclntab = 0x600;
  static constexpr std::uint64_t kNames = kPclntab + 72;
  static constexpr std::uint64_t kValues = kPclntab + 0x200;
  static constexpr std::uint64_t kFunctions = kPclntab + 0x280;
  static constexpr std::uint64_t kMainFunc = kFunctions + 24;  ///< main.main's _func
  static constexpr std::uint64_t kTypes = 0xa00;
  static constexpr std::uint64_t kMapType = kTypes + 64;
  static constexpr std::uint64_t kTypeName = kTypes + 128;
  static constexpr std::uint64_t kInlineTree = 0xb00;
  static constexpr std::uint64_t kBuildInfo = 0xc00;
  static constexpr std::uint64_t kModule = 0xe00;
  static constexpr std::uint64_t kSize = 0x1200;
  static constexpr std::uint64_t kProgramHeaders = 64;

  explicit TinyGo(const std::string& version = "go1.22.12");

  template <typename T>
  TinyGo& put(std::uint64_t at, T value) {
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  TinyGo& put_text(std::uint64_t at, const std::string& text) {
    std::memcpy(bytes_.data() + at, text.data(), text.size());
    return *this;
  }

  std::vector<std::byte>& bytes() { return bytes_; }
  Bytes view() const { return Bytes(bytes_.data(), bytes_.size()); }

 private:
  void write_headers();
  void write_pclntab();
  void write_types();
  void write_module();
  void write_build_info(const std::string& version);
  /// Writes runs of {value, length in bytes of code} as a pc-value table. Returns where the next one may start.
  std::uint64_t write_values(std::uint64_t at, const std::vector<std::pair<int, unsigned>>& runs);

  std::vector<std::byte> bytes_;
};

}  // namespace mapwatch::test
