// mapwatch export: what other tools need of mapwatch, on stdout.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// The exit status: usage for what there is not, failed when stdout cannot be written.
int run_export(const cli::Options& options);

}  // namespace mapwatch::app
