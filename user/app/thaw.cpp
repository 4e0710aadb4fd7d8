#include "app/thaw.h"

#include <unistd.h>

#include <fmt/format.h>

#include "base/log.h"
#include "base/write_all.h"
#include "guardian/thaw.h"

namespace mapwatch::app {

int run_thaw(const cli::Options& options) {
  const bool named = !options.pids.empty();
  const auto only = named ? std::optional<int>(options.pids.front()) : std::nullopt;
  // A process that is asked for by name is let go although a mapwatch watches it: that one may hang.
  const auto results = guardian::thaw(options.run_dir, only, named ? guardian::Owned::kToo : guardian::Owned::kLeave,
                                      proc::ProcFs(options.procfs));
  std::string text;
  bool failed = false;
  for (const guardian::Thawed& thawed : results) {
    if (thawed.pid == 0) {
      log::warn("{}", log::printable(thawed.error));
      failed = true;
    } else if (!thawed.outcome) {
      text += fmt::format("PID {} is watched by a live mapwatch, which lets go by itself: -p {} to do it now\n",
                          thawed.pid, thawed.pid);
    } else if (*thawed.outcome != guardian::LetGo::kGone) {
      text += fmt::format("PID {} {}\n", thawed.pid, guardian::what_happened(*thawed.outcome));
      failed = failed || *thawed.outcome == guardian::LetGo::kRefused;
    }
  }
  if (text.empty()) {
    text = named ? fmt::format("mapwatch holds no process {}\n", *only) : "mapwatch holds no process\n";
  }
  if (auto written = write_all(STDOUT_FILENO, text, "stdout"); !written) {
    log::print_error(written.error());
    return log::exit_status(written.error().kind);
  }
  return failed ? log::exit_status(ErrorKind::kFailed) : 0;
}

}  // namespace mapwatch::app
