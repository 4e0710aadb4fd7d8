// Goroutines and the scheduler as JSON, for programs.
#pragma once

#include <string>

#include "dossier/frame_names.h"
#include "forensics/goroutines.h"

namespace mapwatch::dossier {

/// One goroutine as an object with all of its frames, the runtime's too; no newline. Target text is escaped.
std::string goroutine_json(const forensics::Goroutines& goroutines, const forensics::Goroutine& goroutine,
                           FrameNames& names);

/// {"processors":[..],"threads":[..],...}: what write_scheduler() shows.
std::string scheduler_json(const forensics::Goroutines& goroutines);

}  // namespace mapwatch::dossier
