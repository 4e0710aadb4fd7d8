// The options of a watching command as the parts of the watcher want them.
#pragma once

#include "attach/cpu_limits.h"
#include "attach/self_test.h"
#include "cli/options.h"
#include "correlate/correlator.h"
#include "govern/cost.h"
#include "mapwatch/abi.h"

namespace mapwatch::app {

correlate::Correlator::Options correlator_options(const cli::Options& options);
/// --budget as parts per million.
std::uint32_t budget_ppm(const cli::Options& options);
/// What a process may be charged, by the options and by the CPUs that it may use. Freezing is not part of it.
mw_policy policy_for(const cli::Options& options, const attach::CpuLimits& limits);
/// What a hit costs on this host.
govern::CostModel cost_model(const attach::SelfTest& self_test);

}  // namespace mapwatch::app
