#include "guardian/thaw.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "guardian/held_file.h"
#include "guardian/parents.h"

namespace mapwatch::guardian {
namespace {

/// The process of the record, and no other that has its PID or was started in its place.
bool same_process(const HeldRecord& record, const proc::ProcFs& procfs) {
  const auto boot = procfs.boot_id();
  struct stat exe = {};
  return boot && *boot == record.boot_id && lives(record.process, procfs) &&
         ::stat(procfs.path(record.process.pid, "exe").c_str(), &exe) == 0 && exe.st_dev == record.exe_dev &&
         exe.st_ino == record.exe_inode;
}

LetGo continue_process(const HeldRecord& record, const proc::ProcFs& procfs) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, record.process.pid, 0)));
  // Looked at again with the pidfd open: from here on it is that process or none.
  if (!pidfd || !same_process(record, procfs)) {
    return LetGo::kGone;
  }
  const LetGo outcome = let_go(pidfd.get(), record.process.pid, record.sites, Knowledge::kMaybeFrozen, procfs);
  if (outcome == LetGo::kContinued) {
    wake_parents(record.process.pid, procfs);
  }
  return outcome;
}

}  // namespace

std::vector<Thawed> thaw(const std::string& run_dir, std::optional<int> only, Owned owned, const proc::ProcFs& procfs) {
  std::vector<Thawed> results;
  for (const std::string& path : list_held(run_dir)) {
    Thawed result;
    result.path = path;
    const auto record = read_held(path);
    if (!record) {
      result.error = record.error().message;
      results.push_back(std::move(result));
      continue;
    }
    result.pid = record->process.pid;
    if (only && *only != result.pid) {
      continue;
    }
    result.owned = lives(record->owner, procfs);
    if (!result.owned || owned == Owned::kToo) {
      result.outcome = same_process(*record, procfs) ? continue_process(*record, procfs) : LetGo::kGone;
    }
    // A process that stays stopped for another's sake is not ours any more either.
    if (!result.owned && result.outcome != LetGo::kRefused) {
      ::unlink(path.c_str());
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace mapwatch::guardian
