// One map of the target, read and judged: the value that reports print.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "forensics/go_value.h"
#include "forensics/map_inspector.h"

namespace mapwatch::forensics {

struct MapEntryText {
  std::uint64_t address = 0;  ///< of the key
  std::string key;
  std::string element;
};

struct MapPicture {
  /// The type's name and layout; `key` and `element` point into the reader's types.
  std::string type_name;
  std::uint64_t type_address = 0;
  std::string key_type;
  std::string element_type;
  elf::MapKind kind = elf::MapKind::kBuckets;
  MapGeometry geometry;
  bool indirect_key = false;
  bool indirect_element = false;

  MapHeader header;
  GrowthDue growth;
  MapTotals totals;
  std::vector<MapFinding> findings;
  HashStatistics hashes;
  MapDistribution distribution;
  std::vector<MapEntryText> entries;  ///< as many as MapLimits::entries asked for

  /// Why a part of the map was not read; empty: all of it was.
  std::string partial;
  /// The header changed while the map was read: what was found may be torn. Never on a frozen process.
  bool changed_while_read = false;
  std::uint64_t bytes_read = 0;
};

struct MapRequest {
  std::uint64_t type = 0;  ///< run-time address of the map's type descriptor
  std::uint64_t map = 0;   ///< run-time address of its header
  MapLimits limits;
  ValueStyle style;
};

/// kMalformed: the type or the header cannot be read; anything wrong behind them is a finding. `types`' memory is read.
Result<MapPicture> read_map(TypeReader& types, const HashSource& hashes, const MapRequest& request, const Clock& clock);

}  // namespace mapwatch::forensics
