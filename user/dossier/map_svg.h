// A map's distribution as one self-contained SVG picture: no script, no reference to anything outside.
#pragma once

#include <string>

#include "forensics/map_reader.h"

namespace mapwatch::dossier {

/// Histograms of entries and of blocks opened, and the heat map, with titles that a reader of screens can tell.
std::string map_svg(const forensics::MapPicture& picture);

}  // namespace mapwatch::dossier
