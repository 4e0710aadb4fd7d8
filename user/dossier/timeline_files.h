// The timeline's place in the files of a dossier: they are made before it is complete.
#pragma once

#include <string_view>
#include <vector>

#include "dossier/store.h"
#include "dossier/timeline.h"

namespace mapwatch::dossier {

/// Stands in report.txt and report.html where the timeline is to be. Nothing that a target wrote can look like it: its
/// control characters are escaped.
constexpr std::string_view kTimelineSlot = "\x01timeline\x01";

bool has_timeline_slot(const DossierFile& file);

/// The files with the timeline in its place, and timeline.json.
std::vector<DossierFile> with_timeline(const std::vector<DossierFile>& files, const Timeline& timeline);

}  // namespace mapwatch::dossier
