// The parts of report.html that show goroutines and the scheduler.
#pragma once

#include <string>

#include "dossier/report_html.h"

namespace mapwatch::dossier {

/// Groups, the crashing goroutine's first and open, as many as 2 MiB hold; what is left out is counted.
/// `facts` has goroutines, groups and names.
std::string goroutines_html(const PageFacts& facts);

/// The scheduler's tables, at most 256 KiB of them.
std::string scheduler_html(const PageFacts& facts);

}  // namespace mapwatch::dossier
