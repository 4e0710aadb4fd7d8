#include "elf/offsets.h"

#include <algorithm>
#include <iterator>

namespace mapwatch::elf {
namespace {

constexpr OffsetEntry kTable[] = {
#include "elf/offset_table.inc"
};

}  // namespace

OffsetEntry table_offsets(int minor, MapKind kind) {
  const OffsetEntry* best = nullptr;
  for (const OffsetEntry& entry : kTable) {
    if (entry.kind == kind && (entry.minor <= minor || best == nullptr)) {
      best = &entry;
    }
  }
  OffsetEntry found = *best;
  if (found.minor != minor) {
    found.offsets.source = OffsetSource::kUnverified;
  }
  return found;
}

int newest_known_minor() { return std::ranges::max_element(kTable, {}, &OffsetEntry::minor)->minor; }

}  // namespace mapwatch::elf
