// Who is on a map, and who was last: from the frames of all goroutines and from what the kernel side remembers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "forensics/goroutine_copy.h"
#include "forensics/goroutines.h"
#include "mapwatch/abi.h"

namespace mapwatch::forensics {

/// How it is known that a frame of a map function is about this very map.
enum class OperationEvidence {
  kArguments,  ///< the code of caller and callee proves that it was called with it
  kProbe,      ///< a probe saw the call begin, and its frame is still there
  kSlot,       ///< only the argument's spill slot says so, which may be left from an earlier call: not certain
};

/// A goroutine whose stack is in an operation on the map.
struct MapOperation {
  std::size_t goroutine = 0;  ///< index in Goroutines::list
  std::size_t frame = 0;      ///< the map function's, index in Goroutine::frames
  mw_op op = MW_OP_NONE;
  OperationEvidence evidence = OperationEvidence::kArguments;
  std::uint64_t began_ns = 0;  ///< CLOCK_MONOTONIC; 0: no probe noted it
};

/// A goroutine that is known to have used the map, and is not in an operation on it now. Its runtime.g may have been
/// given to another goroutine since: then the one named is the one that has it now.
struct MapAccess {
  std::uint64_t g = 0;
  std::uint64_t goid = 0;        ///< of the goroutine that has this g; 0: it has ended
  mw_op op = MW_OP_NONE;         ///< its last operation of all, on this map; NONE: it went on to another map
  std::uint64_t began_ns = 0;    ///< of that operation; 0: not noted
  bool last = false;             ///< nobody began an operation on the map after it
  bool last_writer = false;      ///< nobody began a write after it
  bool previous_writer = false;  ///< the last writer before that one
};

/// What the kernel side remembers, as it was while the process stood still.
struct AccessTables {
  std::optional<mw_slot> slot;   ///< of the map; none: not read
  std::vector<mw_doing> doings;  ///< of the process
};

struct MapUse {
  std::vector<MapOperation> inside;  ///< the certain ones first, of those the ones that change the map first
  std::vector<MapAccess> accesses;   ///< latest first, as far as that is known
};

/// `goroutines` was decoded from `copy`. At most kMostUses of each are listed.
MapUse map_use(std::uint64_t map, const GoroutineCopy& copy, const Goroutines& goroutines, const GoProcess& process,
               const AccessTables& tables);
constexpr std::size_t kMostUses = 1000;

/// True for operations that set the writing mark.
inline bool changes_map(mw_op op) { return op == MW_OP_WRITE || op == MW_OP_DELETE || op == MW_OP_CLEAR; }

}  // namespace mapwatch::forensics
