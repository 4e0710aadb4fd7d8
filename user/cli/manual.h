// The manual page, made from the table of flags, so that it cannot know less or more than --help.
#pragma once

#include <string>

namespace mapwatch::cli {

/// mapwatch(8), in the man macros of groff (groff_man(7)).
std::string manual();

}  // namespace mapwatch::cli
