// `mapwatch thaw`: lets go of processes that a killed mapwatch left frozen.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// One line on stdout for each process that may have been frozen. Status 0 when none is left stopped because of
/// mapwatch, 1 when one could not be let go.
int run_thaw(const cli::Options& options);

}  // namespace mapwatch::app
