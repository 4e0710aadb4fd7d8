#include "app/discovery.h"

#include <cerrno>

namespace mapwatch::app {

Discovery::Discovery(const cli::Options& options, proc::ProcFs procfs)
    : procfs_(std::move(procfs)), selector_(options), own_exe_(FileKey::of("/proc/self/exe")) {}

void Discovery::leave_out(const std::vector<int>& pids) { own_pids_ = {pids.begin(), pids.end()}; }

Discovery::Look Discovery::look(int pid) {
  Look look;
  const std::string exe = procfs_.path(pid, "exe");
  const auto key = FileKey::of(exe);
  const std::optional<bool> go = key ? kinds_.is_go(exe, *key) : std::nullopt;
  if (!go) {
    const bool refused = errno == EACCES || errno == EPERM;
    unreadable_ += refused ? 1 : 0;
    look.verdict = refused ? Verdict::kNotGo : Verdict::kGone;
    return look;
  }
  look.file = *key;
  if (!*go || own_pids_.contains(pid) || key == own_exe_) {
    look.verdict = Verdict::kNotGo;
    return look;
  }
  look.match = selector_.match(procfs_, pid);
  if (look.match != Match::kNo) {
    look.verdict = Verdict::kWanted;
  } else {
    // What ended between two looks, or runs another program by now, was not asked whether it is chosen.
    look.verdict = FileKey::of(exe) == key ? Verdict::kNotMine : Verdict::kGone;
  }
  return look;
}

}  // namespace mapwatch::app
