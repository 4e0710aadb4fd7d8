// `mapwatch watch`: warns of concurrent map access in processes that run already.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// Watches until the targets are gone, --duration is over, or a signal asks to stop. Findings go to stdout or
/// --log-path. Returns the exit status of interface.md: 0, 1, 3, or --exit-code when hazards were found.
int run_watch(const cli::Options& options);

}  // namespace mapwatch::app
