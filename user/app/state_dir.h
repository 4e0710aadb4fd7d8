// Where dossiers are kept.
#pragma once

#include <string>

#include "cli/options.h"

namespace mapwatch::app {

/// --state-dir; without it /var/lib/mapwatch for root, else $XDG_STATE_HOME/mapwatch, which is ~/.local/state/mapwatch
/// when that is not set (XDG Base Directory Specification 0.8).
std::string state_dir(const cli::Options& options);

}  // namespace mapwatch::app
