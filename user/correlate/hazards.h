// From kernel events to the value Hazard, before it is counted: who did what, and whether that is an overlap at all.
#pragma once

#include <optional>

#include "correlate/correlator.h"
#include "correlate/pairing.h"

namespace mapwatch::correlate {

/// One side as its own event tells it.
Access observed(const ingest::AccessEvent& event);

/// Both halves; nullopt when they are no overlap: one goroutine, two maps, or nobody writes.
std::optional<Hazard> from_meeting(const Meeting& meeting, const ProcessContext& process);

/// A mark seen set: whoever set it is inside a write.
Hazard from_mark(const ingest::AccessEvent& visitor, const ProcessContext& process);

/// A half without its partner; nullopt unless it proves the overlap by itself: it names another goroutine, and one of
/// the two operations writes.
std::optional<Hazard> from_lone(const ingest::AccessEvent& half, const ProcessContext& process, Partner partner);

}  // namespace mapwatch::correlate
