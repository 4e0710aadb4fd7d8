// A map's distribution as one self-contained SVG picture: no script, no reference to anything outside.
#pragma once

#include <string>

#include "forensics/map_reader.h"

namespace mapwatch::dossier {

enum class SvgUse {
  kFile,    ///< a file of its own, with its colours
  kInPage,  ///< within an HTML page, which names the map and whose style colours text, .tick, .bar, .cell and .over
};

/// Histograms of entries and of blocks opened, and the heat map, with titles that a reader of screens can tell.
std::string map_svg(const forensics::MapPicture& picture, SvgUse use = SvgUse::kFile);

}  // namespace mapwatch::dossier
