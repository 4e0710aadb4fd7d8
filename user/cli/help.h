// The texts that mapwatch prints about itself: --help, --version, --print-config.
#pragma once

#include <string>
#include <vector>

#include "cli/flags.h"

namespace mapwatch::cli {

/// Help of one command; of mapwatch as a whole for Command::kNone.
std::string help_text(Command command);
std::string version_text();

/// One flag as it was resolved.
struct Setting {
  const FlagSpec* flag = nullptr;
  std::vector<std::string> values;  ///< as given; empty: not set
  std::string origin;               ///< "flag", "MAPWATCH_OUTPUT", "mapwatch.toml:3", "default"
};

/// A section of the config file, as it was read.
struct SettingSection {
  std::string header;  ///< "[[target]]"
  std::string origin;
  std::vector<Setting> settings;
};

/// One line per setting, `key = value  # origin`; unset ones are commented out. The text is itself a config file.
std::string config_text(const std::vector<Setting>& settings, const std::vector<SettingSection>& sections = {});

/// The name among `known` that `typed` was probably meant to be; empty when none is near.
std::string nearest(std::string_view typed, const std::vector<std::string_view>& known);

}  // namespace mapwatch::cli
