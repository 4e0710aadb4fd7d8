// A debug section read from its start, decompressed on the way: as it stands, zlib by ELF's own header (Go 1.19+) or
// in GNU's older ".zdebug" form (Go up to 1.18).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "elf/image.h"

namespace mapwatch::elf {

class DebugSection {
 public:
  /// `name` without a prefix: "info", "abbrev". nullopt when there is none that can be read.
  static std::optional<DebugSection> open(const Image& image, const std::string& name);

  DebugSection(DebugSection&&) noexcept;
  DebugSection& operator=(DebugSection&&) noexcept;
  ~DebugSection();

  /// Appends the next bytes, at most `count`, to `out`. True when there are more after them; a corrupt stream ends.
  bool read(std::size_t count, std::vector<std::byte>& out);

 private:
  struct Inflater;
  DebugSection(Bytes plain, std::unique_ptr<Inflater> inflater);
  Bytes plain_;
  std::unique_ptr<Inflater> inflater_;  ///< null: the section is not compressed
};

}  // namespace mapwatch::elf
