// `mapwatch ls`: the Go processes of this machine and whether mapwatch can watch them.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// Prints a table or one JSON object a line on stdout. Returns the exit status: 0, or 1 when /proc cannot be read.
int run_ls(const cli::Options& options);

}  // namespace mapwatch::app
