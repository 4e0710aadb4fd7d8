// mapwatch dump: the goroutines and the scheduler of a live process, or of a core file.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// The exit status. A live process is held for at most --max-freeze, and goes on whatever becomes of mapwatch.
int run_dump(const cli::Options& options);

}  // namespace mapwatch::app
