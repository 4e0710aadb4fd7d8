// maps.json: a map of the target as JSON.
#pragma once

#include <string>

#include "forensics/map_reader.h"

namespace mapwatch::dossier {

/// One object, without a newline. Target text is escaped. Addresses are "0x..." strings.
std::string map_json(const forensics::MapPicture& picture);

}  // namespace mapwatch::dossier
