// Goroutines as text, in the format of Go's own traceback, so that tools which read that read this.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "dossier/frame_names.h"
#include "forensics/goroutines.h"

namespace mapwatch::dossier {

struct TracebackStyle {
  bool system = false;      ///< as GOTRACEBACK=system: frames of the runtime, and its own goroutines
  std::uint64_t first = 0;  ///< id of the goroutine to begin with; 0: none
};

/// Takes text in pieces of some KiB: a million goroutines are too long for one string.
using TextSink = std::function<void(std::string_view)>;

/// "goroutine 7 [chan receive, 3 minutes]:", its frames, "created by ...", an empty line; one after another. What is
/// not whole says so in a line of its own, in parentheses.
void write_traceback(const forensics::Goroutines& goroutines, FrameNames& names, const TracebackStyle& style,
                     const TextSink& sink);

/// Which P runs which goroutine on which thread, run queues, sleeping and searching threads, the collector's phase.
void write_scheduler(const forensics::Goroutines& goroutines, FrameNames& names, const TextSink& sink);

/// What stands in the brackets of a goroutine's line: "chan receive, 3 minutes, locked to thread".
std::string state_text(const forensics::Goroutine& goroutine, int go_minor);

/// The frames and "created by" of one goroutine, as in a traceback; `with_parent`: name the goroutine that started it.
std::string stack_text(const forensics::Goroutine& goroutine, FrameNames& names, const TracebackStyle& style,
                       bool with_parent);

}  // namespace mapwatch::dossier
