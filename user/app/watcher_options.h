// The options of a watching command as the parts of the watcher want them.
#pragma once

#include "base/result.h"
#include "cli/options.h"
#include "correlate/correlator.h"
#include "mapwatch/abi.h"

namespace mapwatch::app {

correlate::Correlator::Options correlator_options(const cli::Options& options);
/// What `pid` may be charged, by the options and by the CPUs that it may use. Freezing is not part of it.
Result<mw_policy> policy_for(const cli::Options& options, int pid);

}  // namespace mapwatch::app
