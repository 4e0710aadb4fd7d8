#include "dossier/timeline_files.h"

#include <string>

namespace mapwatch::dossier {

bool has_timeline_slot(const DossierFile& file) { return file.text.find(kTimelineSlot) != std::string::npos; }

std::vector<DossierFile> with_timeline(const std::vector<DossierFile>& files, const Timeline& timeline) {
  std::vector<DossierFile> out = files;
  for (DossierFile& file : out) {
    if (const std::size_t slot = file.text.find(kTimelineSlot); slot != std::string::npos) {
      file.text.replace(slot, kTimelineSlot.size(),
                        file.name.ends_with(".html") ? timeline_html(timeline) : timeline_text(timeline));
    }
  }
  out.push_back({"timeline.json", timeline_json(timeline) + "\n"});
  return out;
}

}  // namespace mapwatch::dossier
