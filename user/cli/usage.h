// Errors of the command line.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace mapwatch::cli {

inline tl::unexpected<Error> usage(std::string message, std::string hint = {}) {
  return fail(ErrorKind::kUsage, std::move(message), std::move(hint));
}

/// What is wrong with what `flag` names, by an error that does not know of flags.
inline tl::unexpected<Error> flag_error(std::string_view flag, const Error& error) {
  return usage("--" + std::string(flag) + ": " + error.message, error.hint);
}

/// A hint; `command` empty: mapwatch as a whole.
inline std::string see_help(std::string_view command) {
  return command.empty() ? "see mapwatch --help" : "see mapwatch " + std::string(command) + " --help";
}

}  // namespace mapwatch::cli
