// mapwatch daemon: watches for good under a service manager, and serves metrics.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

int run_daemon(const cli::Options& options);

}  // namespace mapwatch::app
