// Whether others have of a crash what the kernel saw of it: the process's own stderr, the journal, the kernel's log.
#pragma once

#include "dossier/timeline.h"

namespace mapwatch::dossier {

/// Adds their verdicts, and as events what they have times of. facts.witnesses must be there; of `timeline` the crash's
/// reason, its time and Go's first byte.
void check_witnesses(Timeline& timeline, const TimelineFacts& facts);

}  // namespace mapwatch::dossier
