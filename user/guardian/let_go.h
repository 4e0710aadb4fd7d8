// The one place that sends SIGCONT, and the reasons not to.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/proc.h"
#include "base/result.h"

namespace mapwatch::guardian {

/// Whether a process stands where mapwatch stopped it.
enum class Standing {
  kAtSite,     ///< a thread is at one of the probed instructions, or in a signal's handler about to go back there
  kElsewhere,  ///< all threads are told, and none is there
  kUnknown,    ///< a thread runs, or this user may not know
};
Standing standing(int pid, const std::vector<std::uint64_t>& sites, const proc::ProcFs& procfs);

/// Values go over the guardian's socket.
enum class LetGo : std::uint32_t {
  kContinued = 1,   ///< SIGCONT was sent
  kOtherStop = 2,   ///< somebody else wants it stopped (a stop signal is pending beside ours): it stays
  kNotOurs = 3,     ///< it is stopped, but not where mapwatch stops it: it stays
  kNotStopped = 4,  ///< it runs
  kGone = 5,        ///< it has ended
  kRefused = 6,     ///< the kernel refused the signal
};
std::string_view what_happened(LetGo outcome);

/// How sure the caller is that the process stands still because of mapwatch.
enum class Knowledge {
  kFrozen,       ///< by the caller's own book it was frozen, and not let go since
  kMaybeFrozen,  ///< nothing but a record that it might be. Continued only when it stands at a site
};

/// Lets the process of `pidfd` go, if it is ours to let go. A SIGCONT undoes every stop signal that came before it
/// (signal(7)), so a second one from somebody else, which stays pending while a process is stopped, forbids it.
LetGo let_go(int pidfd, int pid, const std::vector<std::uint64_t>& sites, Knowledge knowledge,
             const proc::ProcFs& procfs);

}  // namespace mapwatch::guardian
