// An ELF64 little-endian amd64 executable seen through its bytes: segments, sections, relocated words. Knows nothing
// of Go. Addresses are the file's own virtual addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "elf/relocations.h"
#include "elf/segment.h"

namespace mapwatch::elf {

struct Section {
  std::string_view name;
  std::uint32_t type = 0;
  std::uint64_t flags = 0;
  std::uint64_t address = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

class Image {
 public:
  /// `file` must outlive the value. Errors: kMalformed (not ELF, truncated, no code, UPX-packed), kUnsupported
  /// (32-bit, big-endian, another architecture).
  static Result<Image> parse(Bytes file);

  Bytes file() const { return file_; }
  bool position_independent() const { return position_independent_; }
  /// PT_LOAD segments in file order.
  std::span<const Segment> loads() const { return loads_; }
  std::span<const Section> sections() const { return sections_; }
  /// The first section of that name; null when there is none.
  const Section* section(std::string_view name) const;
  /// Contents as in the file; nullopt for SHT_NOBITS and sections that reach beyond the file.
  std::optional<Bytes> contents(const Section& section) const;
  bool has_symbol_table() const;

  /// Exactly [address, address + size) of the file's bytes; nullopt unless one segment holds them all.
  std::optional<Bytes> at(std::uint64_t address, std::uint64_t size) const;
  /// From `address` to the end of its segment's file bytes; nullopt when no segment holds it.
  std::optional<Bytes> from(std::uint64_t address) const;
  /// True when `address` is in a segment that is mapped executable.
  bool executable(std::uint64_t address) const;
  /// File offset of an address in an executable segment.
  std::optional<std::uint64_t> code_offset(std::uint64_t address) const;
  /// `count` 8-byte words at `address` as they are in memory at load bias 0, that is with relocations applied.
  std::optional<std::vector<std::uint64_t>> words(std::uint64_t address, std::size_t count) const;
  std::optional<std::uint64_t> word(std::uint64_t address) const;
  const Relocations& relocations() const { return relocations_; }
  /// The lowest PT_LOAD address, rounded down to a page.
  std::uint64_t first_load_address() const;
  /// Descriptor of the first note of that owner and type in a PT_NOTE segment or SHT_NOTE section.
  std::optional<Bytes> note(std::string_view owner, std::uint32_t type) const;

 private:
  Image() = default;
  Result<void> read_segments();
  Result<void> read_sections();

  Bytes file_;
  bool position_independent_ = false;
  std::vector<Segment> loads_;
  std::vector<Bytes> notes_;
  std::vector<Section> sections_;
  std::optional<Segment> dynamic_;
  Relocations relocations_;
};

}  // namespace mapwatch::elf
