#include "dossier/timeline_files.h"

#include <string>

namespace mapwatch::dossier {

std::vector<DossierFile> with_timeline(const std::vector<DossierFile>& files, const Timeline& timeline, Which which) {
  std::vector<DossierFile> out;
  for (const DossierFile& file : files) {
    const std::size_t slot = file.text.find(kTimelineSlot);
    if (slot == std::string::npos && which == Which::kOnlyTimeline) {
      continue;
    }
    out.push_back(file);
    if (slot != std::string::npos) {
      out.back().text.replace(slot, kTimelineSlot.size(),
                              file.name.ends_with(".html") ? timeline_html(timeline) : timeline_text(timeline));
    }
  }
  out.push_back({"timeline.json", timeline_json(timeline) + "\n"});
  return out;
}

}  // namespace mapwatch::dossier
