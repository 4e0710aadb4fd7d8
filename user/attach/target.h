// The identity of a live process. A PID alone is none: it is reused, and an exec keeps PID and start time but
// changes the binary. Identity is pidfd + start time + (device, inode) of the executable, whose file stays open here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_key.h"
#include "base/proc.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "elf/go_binary.h"

namespace mapwatch::attach {

/// Where a piece of the executable's text lies in the file.
struct TextAnchor {
  std::uint64_t address = 0;      ///< the file's own virtual address
  std::uint64_t file_offset = 0;  ///< of that address
};

class Target {
 public:
  /// Opens `pid` as `procfs` numbers it. Errors, each naming pid and remedy: kUsage (a thread's id), kGone (no such
  /// process, zombie, exited while it was being opened), kPermission, kUnsupported (kernel thread, 32-bit program).
  static Result<Target> open(int pid, const proc::ProcFs& procfs = proc::ProcFs());

  int pid() const { return pid_; }
  /// Poll it for POLLIN to learn of the exit.
  int pidfd() const { return pidfd_.get(); }
  /// Clock ticks since boot.
  std::uint64_t start_time() const { return start_time_; }
  /// The executable that was running at open(), readable even when it was deleted since.
  int exe_fd() const { return exe_fd_.get(); }
  const FileKey& exe_key() const { return exe_key_; }
  dev_t exe_dev() const { return exe_key_.dev; }
  ino_t exe_inode() const { return exe_key_.inode; }
  /// Path of the executable in the process' own mount namespace: to show, not to open.
  const std::string& exe_path() const { return exe_path_; }
  /// The file was unlinked or replaced since the process started it.
  bool exe_deleted() const { return exe_deleted_; }
  /// exe_fd() and attach_path() are not asked for any more: one descriptor less for each of many processes.
  void close_exe() { exe_fd_.reset(); }
  /// A path of exactly the running file, whatever mount namespace it is in: /proc/self/fd/N of exe_fd(). Good for
  /// libbpf and perf_event_open in this process for as long as this Target lives (kern_path follows the link).
  std::string attach_path() const;
  /// PIDs from mapwatch's PID namespace down to the process' own; never empty.
  const std::vector<int>& ns_pids() const { return ns_pids_; }
  int ns_pid() const { return ns_pids_.back(); }
  const std::string& cgroup() const { return cgroup_; }
  std::uint32_t uid() const { return uid_; }
  const std::string& comm() const { return comm_; }

  /// False once the process has exited (a zombie has).
  bool alive() const;
  /// True while the process runs the file that was opened: false after an exec of another one, or after its exit.
  /// An exec of the same file is not seen here (MW_EVENT_EXEC tells of it).
  bool same_exe() const;
  /// kGone with what happened, unless alive() and same_exe().
  Result<void> check() const;

  /// What to add to an address of `binary` to find it in the process: from the mapping that holds the entry point, 0
  /// for a program that is not position-independent. `binary` is exe_fd()'s. Errors: kUnsupported (text is not mapped
  /// from the file), kGone, kPermission.
  Result<std::uint64_t> load_bias(const elf::GoBinary& binary) const;
  /// The same by the binary's text_anchor().
  Result<std::uint64_t> load_bias(const TextAnchor& anchor) const;

 private:
  Target() = default;

  proc::ProcFs procfs_;
  int pid_ = 0;
  UniqueFd pidfd_;
  std::uint64_t start_time_ = 0;
  UniqueFd exe_fd_;
  FileKey exe_key_;
  std::string exe_path_;
  bool exe_deleted_ = false;
  std::vector<int> ns_pids_;
  std::string cgroup_;
  std::uint32_t uid_ = 0;
  std::string comm_;
};

/// The executable as /proc/PID/maps may name it.
struct ExeName {
  std::uint64_t inode = 0;
  std::string path;  ///< for layered file systems whose maps show another inode; " (deleted)" taken off
};

/// The first function of `binary`. kMalformed when it is in no executable segment.
Result<TextAnchor> text_anchor(const elf::GoBinary& binary, const std::string& path);

/// The load bias that `maps` tell: of the executable mapping of `exe` that holds `anchor`; where the process mapped its
/// own file more than once, of the one that holds `entry_point` (AT_ENTRY; 0 unknown). kUnsupported when there is none.
Result<std::uint64_t> find_load_bias(const std::vector<proc::MapEntry>& maps, const ExeName& exe,
                                     const TextAnchor& anchor, std::uint64_t entry_point);

}  // namespace mapwatch::attach
