// What the flags of a command must agree on, wherever each of them came from.
#pragma once

#include "cli/options.h"

namespace mapwatch::cli {

/// Something says which processes.
bool selects(const Options& options);

/// kUsage when they contradict each other or one is missing.
Result<void> check_combination(const Options& options);

}  // namespace mapwatch::cli
