// mapwatch dossier: lists, shows, checks, packs and removes what was kept of crashes.
#pragma once

#include "cli/options.h"

namespace mapwatch::app {

/// The exit status; `verify`: 1 when something differs.
int run_dossier(const cli::Options& options);

}  // namespace mapwatch::app
