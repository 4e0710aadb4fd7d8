// `mapwatch run -- CMD`: starts CMD, watches it from its first instruction, passes signals and its exit status on.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// Returns CMD's own status, 128 + the signal that killed it, --exit-code (66 unless given) when CMD succeeded and
/// hazards were found, 3 when CMD never became a Go program that can be watched, 125 when mapwatch failed, 126 and
/// 127 when CMD cannot be executed or is not there.
int run_run(const cli::Options& options);

}  // namespace mapwatch::app
