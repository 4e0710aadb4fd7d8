// Completions of shells, made from the table of flags, so that they cannot know less or more than --help.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace mapwatch::cli {

/// The file that `shell` (bash, zsh or fish) loads to complete mapwatch's command line: commands, each one's flags,
/// the words that a flag takes, files and directories. kUsage for another shell.
Result<std::string> completion(std::string_view shell);

}  // namespace mapwatch::cli
