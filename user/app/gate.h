// mapwatch gate: what is left of an error budget, or how a canary does beside its baseline, as an exit status.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// 0: open, or go; 10: frozen, or roll back; 11: a warning; 12: no data. Else the status of an error.
int run_gate(const cli::Options& options);

}  // namespace mapwatch::app
