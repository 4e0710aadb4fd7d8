// What one process allows: `doctor -p PID`.
#pragma once

#include <vector>

#include "app/doctor_check.h"
#include "attach/cpu_limits.h"
#include "attach/plan.h"
#include "cli/options.h"
#include "elf/go_binary.h"

namespace mapwatch::app {

Check version_check(const elf::GoVersion& version, bool unverified);
Check layout_check(const elf::Offsets& offsets, elf::MapKind kind);
Check build_check(const elf::BuildTraits& traits);
/// How many probes for each operation, and how many functions have none.
Check plan_check(const attach::Plan& plan);
Check cpu_limits_check(const attach::CpuLimits& limits);
Check tracer_check(int tracer_pid, const std::string& tracer_name);
/// `siblings`: other processes of the same executable.
Check siblings_check(const std::vector<int>& siblings, bool inode_wide);

/// Reads the process and its executable, in the order in which an attach would; stops where the next step makes no
/// sense.
std::vector<Check> check_target(int pid, const cli::Options& options, bool inode_wide);

}  // namespace mapwatch::app
