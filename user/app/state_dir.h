// Where dossiers, the history and what waits for receivers are kept.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/options.h"

namespace mapwatch::app {

/// --state-dir; without it /var/lib/mapwatch for root, else $XDG_STATE_HOME/mapwatch, which is ~/.local/state/mapwatch
/// when that is not set (XDG Base Directory Specification 0.8).
std::string state_dir(const cli::Options& options);

/// kUsage: there is something else than a directory, so that nothing could be kept there. That it is not there yet, or
/// is full, is no error: what comes later may be kept.
Result<void> check_state_dir(const cli::Options& options);

}  // namespace mapwatch::app
