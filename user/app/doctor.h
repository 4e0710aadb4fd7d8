// `mapwatch doctor [-p PID]`: what this host and a target allow, each refusal with its cause and remedy.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// Prints one line or JSON object per check. Returns 0 when the host (and the target) can be watched, 3 when not.
int run_doctor(const cli::Options& options);

}  // namespace mapwatch::app
