// `mapwatch replay FILE`: a recorded event stream through the same user side, without root and without the binaries.
#pragma once

#include "base/result.h"
#include "cli/options.h"

namespace mapwatch::app {

/// Writes what the recorded run wrote, under the output flags of `options`. The exit status: --exit-code when hazards
/// were found, else 0. Errors: the file cannot be read, or is damaged (what came before the damage was written).
Result<int> replay(const cli::Options& options);

/// replay() with its error told on stderr. Returns the exit status of interface.md.
int run_replay(const cli::Options& options);

}  // namespace mapwatch::app
