#include "app/target_settings.h"

namespace mapwatch::app {

TargetSettings::TargetSettings(const cli::Options& options) : all_(std::make_shared<const cli::Options>(options)) {
  for (const cli::TargetRule& rule : options.targets) {
    cli::Options named;
    named.names = rule.names;
    named.exe_globs = rule.exe_globs;
    named.cgroup = rule.cgroup;
    cli::Options own = options;
    own.budget = rule.budget.value_or(options.budget);
    own.sample = rule.sample.value_or(options.sample);
    own.dwell_ns = rule.dwell_ns.value_or(options.dwell_ns);
    rules_.push_back({Selector(named), std::make_shared<const cli::Options>(std::move(own))});
  }
}

std::shared_ptr<const cli::Options> TargetSettings::of(const proc::ProcFs& procfs, int pid) const {
  for (const Rule& rule : rules_) {
    if (rule.selector.match(procfs, pid) != Match::kNo) {
      return rule.options;
    }
  }
  return all_;
}

}  // namespace mapwatch::app
