// `mapwatch top`: what `watch` watches, as a table that is made anew all the time (docs/top.md).
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// Runs the command to its end. Its exit status.
int run_top(const cli::Options& options);

}  // namespace mapwatch::app
