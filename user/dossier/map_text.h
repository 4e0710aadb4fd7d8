// A map of the target as text for a terminal: header, judgement, histogram and heat map in Unicode blocks.
#pragma once

#include <string>

#include "forensics/map_reader.h"

namespace mapwatch::dossier {

/// Lines of at most about `width` columns, each ended by a newline. Target text is escaped.
std::string map_text(const forensics::MapPicture& picture, std::size_t width = 100);

/// "1,234,567".
std::string grouped(std::uint64_t number);

}  // namespace mapwatch::dossier
