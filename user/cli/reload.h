// What of a configuration that is read anew takes effect at once.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"

namespace mapwatch::cli {

/// Takes from `fresh` what may change while processes are watched: which ones and how, suppressions, metrics, who is
/// told. Returns the names of the flags that differ and wait for the next start.
std::vector<std::string> take_over(Options& in_force, const Options& fresh);

}  // namespace mapwatch::cli
