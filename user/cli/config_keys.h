// What the keys of a config file mean: flags by their long names, and the sections for single targets.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/config_file.h"
#include "cli/flags.h"
#include "cli/help.h"
#include "cli/options.h"

namespace mapwatch::cli {

/// Hint of an error.
inline constexpr std::string_view kSectionsThere = "sections are [[target]], tables [daemon] and [metrics]";

/// The flag that a key names; `where` is in front of the error, `prefix` in front of the key. A flag that takes one
/// value got one.
Result<const FlagSpec*> flag_of_key(const ConfigEntry& entry, const std::string& where, const std::string& prefix = "");

struct TargetRules {
  std::vector<TargetRule> rules;
  std::vector<SettingSection> settings;  ///< for --print-config
};

/// The [[target]] sections of the files. `stronger`: by what a flag is decided for all targets ("flag",
/// "MAPWATCH_BUDGET"); empty when it is not. kUsage for other sections and keys, and for a section that names no
/// process or sets nothing.
Result<TargetRules> target_rules(const std::vector<ConfigSection>& sections,
                                 const std::function<std::string(const FlagSpec&)>& stronger);

}  // namespace mapwatch::cli
