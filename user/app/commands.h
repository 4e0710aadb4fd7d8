// Which function is which command.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// Runs the command that was asked for to its end. Its exit status; kUsage when there is no such command here.
Result<int> run_command(const cli::Options& options);

}  // namespace mapwatch::app
