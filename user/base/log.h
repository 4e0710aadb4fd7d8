// Messages to people, on stderr: "mapwatch: ..." lines. Findings never go through here.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

#include "base/result.h"

namespace mapwatch::log {

/// Sets up the one logger. Errors and warnings are always shown, information unless `quiet` (then errors only),
/// debug and trace with `verbose` 1 and 2.
void init(bool quiet, int verbose);

/// "mapwatch: " + message, and "  hint: " + hint on a line of its own. One write, so that lines of other processes
/// on the same terminal do not come between. Shown at every level.
void print_error(const Error& error);

/// What print_error writes.
std::string error_text(const Error& error);

/// Control characters of text that a target chose (names, paths, strings) made harmless for a terminal: \x1b and so on.
std::string printable(std::string_view text);

/// The status that mapwatch exits with after this error (interface.md, "Exit status").
int exit_status(ErrorKind kind);

template <typename... Args>
void info(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::info(format, std::forward<Args>(args)...);
}
template <typename... Args>
void warn(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::warn(format, std::forward<Args>(args)...);
}
template <typename... Args>
void debug(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::debug(format, std::forward<Args>(args)...);
}

}  // namespace mapwatch::log
