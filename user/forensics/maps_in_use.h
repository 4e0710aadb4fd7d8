// The maps that goroutines are inside an operation of, at one moment of a process that nobody accuses: found by the
// frames of map functions whose arguments the code proves, and then read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "forensics/goroutine_copy.h"
#include "forensics/map_reader.h"
#include "mapwatch/abi.h"

namespace mapwatch::forensics {

struct MapUser {
  std::uint64_t goid = 0;
  mw_op op = MW_OP_NONE;
};

struct MapInUse {
  std::uint64_t map = 0;
  std::uint64_t type = 0;                  ///< 0: not proven, so that it cannot be read
  std::vector<MapUser> users;              ///< in the order of allgs
  std::optional<MapPicture> picture;       ///< none: `unread` says why
  std::string unread = "it was not read";  ///< for people; may hold text of the target
};

struct MapsInUse {
  std::vector<MapInUse> list;  ///< in the order of their first user
  std::vector<std::string> notes;
};

constexpr std::size_t kMostMapsInUse = 16;

/// `memory`: of the process that was copied, which still stands still. Goroutines that wait, but for the garbage
/// collector's sake, cannot be in a map operation; of the others at most 10,000 are looked at, those that run among
/// them, and none any more when `clock` has reached `deadline_ns`. At most kMostMapsInUse maps.
MapsInUse find_maps_in_use(const GoroutineCopy& copy, const GoProcess& process, const Memory& memory,
                           const Clock& clock, std::uint64_t deadline_ns);

/// Reads them as `like` asks, whose type and map do not count; its time is for all of them.
void read_maps_in_use(MapsInUse& maps, const Memory& memory, const GoProcess& process, const MapRequest& like,
                      const Clock& clock);

}  // namespace mapwatch::forensics
