// Struct offsets by Go version: the table that serves binaries without DWARF, and runtime.moduledata's layout, which
// is needed to read the file at all.
#pragma once

#include <cstdint>

#include "elf/go_binary.h"

namespace mapwatch::elf {

/// Byte offsets in runtime.moduledata that differ by version. The fields up to enoptrbss do not.
struct ModuleLayout {
  std::uint32_t types = 0;
  std::uint32_t etypes = 0;
  std::uint32_t gofunc = 0;  ///< 0 in Go 1.17, which has none
};

struct OffsetEntry {
  int minor = 0;
  MapKind kind = MapKind::kBuckets;
  Offsets offsets;
  ModuleLayout module;
};

/// The entry of that minor version and kind of map; for versions newer than all entries (and pairs that no release
/// has) the nearest older one, with source kUnverified. `minor` is at least 17.
OffsetEntry table_offsets(int minor, MapKind kind);

/// The newest minor version in the table.
int newest_known_minor();

}  // namespace mapwatch::elf
