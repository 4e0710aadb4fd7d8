// report.html: a crash as one page that needs nothing else. No script is needed to read it; one, of its own, searches.
#pragma once

#include <string>
#include <vector>

#include "dossier/goroutine_groups.h"
#include "dossier/map_company_view.h"
#include "forensics/map_reader.h"
#include "report/report.h"

namespace mapwatch::dossier {

/// What a page shows. Null or empty: not known.
struct PageFacts {
  const report::CrashReport& report;
  std::vector<std::string> notes;  ///< what is missing and why
  const forensics::MapPicture* map = nullptr;
  const forensics::Goroutines* goroutines = nullptr;
  const std::vector<GoroutineGroup>* groups = nullptr;  ///< of them
  FrameNames* names = nullptr;                          ///< likewise
  std::string main_path;                                ///< the main package's import path, to tell whose a frame is
  const CompanyView* company = nullptr;                 ///< who else was on the map, and who holds it
};

/// The page, with the timeline's slot (timeline_files.h): some hundred KiB, 8 MiB at most. Everything that the target
/// wrote is escaped, and a Content-Security-Policy names the page's own style and script by their sums: nothing else is
/// loaded or run.
std::string report_html(const PageFacts& facts);

}  // namespace mapwatch::dossier
