// What the config files say of each flag: one file, and for a daemon those of conf.d beside it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/config_file.h"
#include "cli/options.h"

namespace mapwatch::cli {

/// The values that one layer gives to one flag.
struct Layer {
  std::vector<std::string> values;
  std::string origin;  ///< for --print-config
  std::string where;   ///< in front of an error
};

struct FileLayers {
  std::map<std::string_view, Layer> flags;  ///< by long name
  std::vector<ConfigSection> targets;       ///< [[target]], the strongest first
};

/// Reads `path` and, for Command::kDaemon, each conf.d/*.toml beside it in the order of their names: a later file is
/// stronger. In a file `[daemon]` is stronger for a daemon than what stands above it, and holds for nothing else;
/// in `[metrics]` `listen` is the flag metrics-listen, `web-config-file` has its own name. Errors: kUsage, as
/// read_config and flag_of_key.
Result<FileLayers> read_layers(const std::string& path, Command command);

}  // namespace mapwatch::cli
