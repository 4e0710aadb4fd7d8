// Common flags turned into the options of the report layer; shared by the commands that print findings.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "cli/options.h"
#include "report/publisher.h"
#include "report/suppressions.h"
#include "report/writer.h"

namespace mapwatch::app {

/// A variable of the environment; empty when it is not set.
std::string environment(const char* name);
/// Whether to colour what goes to a descriptor: --color, then NO_COLOR and CLICOLOR_FORCE (no-color.org,
/// bixense.com/clicolors), then whether it is a terminal that knows colour. `env` gives "" for a variable not set.
bool want_color(cli::When when, bool is_terminal, const std::function<std::string(const char*)>& env);

/// `findings_fd`: 1, or 2 under `run` without --log-path, where stdout is CMD's.
report::WriterOptions writer_options(const cli::Options& options, int findings_fd);
report::PublisherOptions publisher_options(const cli::Options& options);

/// "2 of 3 suppressions used; never: file:7 race:main.old" and the like; empty when there are no rules.
std::string describe_suppressions(const report::Suppressions& suppressions, const std::string& file);

}  // namespace mapwatch::app
