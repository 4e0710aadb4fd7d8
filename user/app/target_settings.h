// What the options say for one process: those of all, with what the first [[target]] of the config file that names it
// sets.
#pragma once

#include <memory>
#include <vector>

#include "app/selector.h"
#include "base/proc.h"
#include "cli/options.h"

namespace mapwatch::app {

class TargetSettings {
 public:
  explicit TargetSettings(const cli::Options& options);

  /// Never null. A process that ends meanwhile has those of all.
  std::shared_ptr<const cli::Options> of(const proc::ProcFs& procfs, int pid) const;

 private:
  struct Rule {
    Selector selector;
    std::shared_ptr<const cli::Options> options;
  };
  std::shared_ptr<const cli::Options> all_;
  std::vector<Rule> rules_;
};

}  // namespace mapwatch::app
