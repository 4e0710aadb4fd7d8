// Text of the target within HTML or SVG: it can neither end its element nor begin one.
#pragma once

#include <string>
#include <string_view>

namespace mapwatch::dossier {

/// escape(), and the five characters that XML and HTML give a meaning as character references.
std::string markup(std::string_view text, std::size_t limit = 4096);

/// As markup(), without a limit: line ends and tabs stay.
std::string markup_lines(std::string_view text);

}  // namespace mapwatch::dossier
