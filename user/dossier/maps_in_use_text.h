// The maps that goroutines are inside of, for people and for programs.
#pragma once

#include <string>

#include "forensics/maps_in_use.h"

namespace mapwatch::dossier {

/// Each map with who is inside, as map_text() shows it. Target text is escaped.
std::string maps_in_use_text(const forensics::MapsInUse& maps);

/// An object of kind "map" without a newline: map_json() when it could be read, and who is inside.
std::string map_in_use_json(const forensics::MapInUse& map);

}  // namespace mapwatch::dossier
