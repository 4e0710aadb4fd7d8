// mapwatch dossier export: one dossier as one tar.gz.
#pragma once

#include "cli/options.h"
#include "dossier/store.h"

namespace mapwatch::app {

/// To stdout; when that is a terminal to ID.tar.gz in the current directory, which must not be there yet.
Result<void> export_dossier(const dossier::Store& store, const cli::Options& options);

}  // namespace mapwatch::app
