// Kernel events as the user side sees them: decoded, sizes checked, enums proven.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "mapwatch/abi.h"

namespace mapwatch::ingest {

struct EventHead {
  std::uint64_t time_ns = 0;  ///< CLOCK_MONOTONIC
  std::uint32_t tgid = 0;
  std::uint32_t tid = 0;
  std::uint32_t cpu = 0;
  std::uint32_t layout = 0;
};

/// Half of an overlap (mw_access_event).
struct AccessEvent {
  EventHead head;
  mw_role role = MW_ROLE_VISITOR;
  mw_evidence evidence = MW_EVIDENCE_WATCH;
  mw_op op = MW_OP_NONE;
  mw_site_class site_class = MW_SITE_NONE;
  std::uint32_t site = 0;
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  std::uint64_t map = 0;
  std::uint64_t type = 0;
  std::uint64_t len = 0;
  std::uint64_t g = 0;
  std::uint64_t goid = 0;
  std::uint64_t gopc = 0;
  std::uint64_t watch_ns = 0;
  std::uint64_t held_ns = 0;
  /// Filled when flags has MW_ACCESS_OTHER_KNOWN.
  std::uint64_t other_g = 0;
  std::uint64_t other_goid = 0;
  std::uint64_t other_pc = 0;
  mw_op other_op = MW_OP_NONE;
  std::uint32_t flags = 0;
  std::vector<std::uint64_t> stack;  ///< pcs, innermost first; [0] the probed instruction, the rest return addresses
};

/// A goroutine entered runtime.fatal or runtime.throw (mw_fatal_event).
struct FatalEvent {
  EventHead head;
  mw_op op = MW_OP_FATAL;
  mw_site_class site_class = MW_SITE_NONE;
  std::uint32_t flags = 0;
  std::uint64_t text_addr = 0;
  std::uint64_t g = 0;
  std::uint64_t goid = 0;
  std::uint64_t gopc = 0;
  std::uint64_t last_map = 0;             ///< map of the operation in which it crashes; 0 unknown
  std::uint64_t last_type = 0;            ///< address of that map's type; 0 when the site did not tell
  std::optional<std::uint64_t> last_len;  ///< entries of that map; none in recordings of the first version
  /// Who else wrote that map last; other_g is 0 when nobody is known to have.
  std::uint64_t other_g = 0;
  std::uint64_t other_goid = 0;
  std::uint64_t other_pc = 0;  ///< 0 unknown
  mw_op other_op = MW_OP_NONE;
  std::uint64_t ip = 0;
  std::uint64_t sp = 0;
  std::uint64_t bp = 0;
  std::string text;  ///< raw bytes of the target, unprintable characters included
  std::vector<std::uint64_t> stack;
  std::optional<mw_regs> regs;  ///< of the crashing thread; older recordings have none
};

struct ExecEvent {
  EventHead head;
};
struct ExitEvent {
  EventHead head;
};

/// A process used up its hits (mw_over_event).
struct OverEvent {
  EventHead head;
  std::uint32_t epoch = 0;
};

using Event = std::variant<AccessEvent, FatalEvent, ExecEvent, ExitEvent, OverEvent>;

/// One ring-buffer or file record to an event. kMalformed names the field that is wrong.
Result<Event> decode(Bytes record);

}  // namespace mapwatch::ingest
