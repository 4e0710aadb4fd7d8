// Whether a program's layout can be believed: what is read at the offset of g.goid must be able to be a goroutine's id.
// Where it is not, the offset of the writing mark is not to be believed either, and a report would be an invention.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "ingest/event.h"

namespace mapwatch::correlate {

/// Why the goroutine ids of this event cannot be ids; nullopt when they can. Ids count up from 1 (runtime/proc.go,
/// newproc1), g0 with id 0 uses no map, and no two goroutines share one.
std::optional<std::string> nonsense(const ingest::AccessEvent& event);

/// The processes whose events are passed over since one of them made no sense.
class Trust {
 public:
  /// Why `event` makes its process be distrusted from now on; nullopt when nothing changes.
  std::optional<std::string> judge(const ingest::Event& event);
  bool distrusts(std::uint32_t tgid) const { return distrusted_.contains(tgid); }
  /// Another program runs under that number: it starts with a clean slate.
  void forget(std::uint32_t tgid) { distrusted_.erase(tgid); }

 private:
  std::set<std::uint32_t> distrusted_;
};

}  // namespace mapwatch::correlate
