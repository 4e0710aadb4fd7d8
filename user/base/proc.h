// What /proc says of processes, as typed values. The root directory is an argument (--procfs, tests). Everything read
// was written by or for a process that nobody vouches for: names may hold any byte, files may end anywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mapwatch::proc {

/// /proc/PID/stat (proc(5)).
struct Stat {
  int pid = 0;
  std::string comm;  ///< at most 15 bytes, any byte but NUL
  char state = '?';  ///< R, S, D, T, t, Z, X, I...
  int ppid = 0;
  std::uint64_t flags = 0;       ///< PF_* of the kernel
  std::uint64_t user_ticks = 0;  ///< CPU time in clock ticks, all threads
  std::uint64_t system_ticks = 0;
  std::uint64_t start_time = 0;  ///< clock ticks since boot: tells a reused PID from its first owner
  unsigned policy = 0;           ///< SCHED_* of the (main) thread

  bool kernel_thread() const { return (flags & 0x00200000U) != 0; }  // PF_KTHREAD, include/linux/sched.h
  bool dead() const { return state == 'Z' || state == 'X' || state == 'x'; }
  /// SCHED_FIFO, SCHED_RR or SCHED_DEADLINE.
  bool realtime() const { return policy == 1 || policy == 2 || policy == 6; }
};

/// For how long a process has lived, by Stat::start_time and CLOCK_BOOTTIME (proc(5), starttime).
std::uint64_t age_ns(std::uint64_t start_time, std::uint64_t boottime_ns);

/// CPU time of this process so far, seconds.
double own_cpu_s();

/// A set of CPUs, by number.
struct CpuSet {
  std::vector<bool> bits;
  std::size_t count() const;
  void add(const CpuSet& other);
  void keep(const CpuSet& other);
};

/// /proc/PID/status; a field that the kernel does not print keeps its default.
struct Status {
  char state = '?';
  int tgid = 0;
  int tracer_pid = 0;
  std::uint32_t real_uid = 0;
  std::uint32_t effective_uid = 0;
  std::vector<int> ns_pids;  ///< from the reader's PID namespace down to the process's own
  CpuSet cpus_allowed;       ///< affinity and cpuset together; may hold CPUs that are not online
  unsigned threads = 0;
  std::uint64_t rss_bytes = 0;
  std::uint64_t pending_signals = 0;  ///< of the process as a whole (ShdPnd), bit SIGNAL - 1
  std::uint64_t caught_signals = 0;   ///< a handler is set (SigCgt), bit SIGNAL - 1

  /// The PID that the process knows itself by.
  int ns_pid() const { return ns_pids.empty() ? tgid : ns_pids.back(); }
};

/// Where a thread is in user space.
struct Place {
  std::uint64_t pc = 0;
  std::uint64_t sp = 0;
};

struct ExeLink {
  std::string path;      ///< as the process' mount namespace names it, " (deleted)" taken off
  bool deleted = false;  ///< the file was unlinked or replaced since
};

struct CgroupPaths {
  std::string unified;  ///< v2, "" when there is none
  std::string cpu;      ///< v1 hierarchy of the cpu controller
  std::string cpuset;   ///< v1
  std::string named;    ///< v1 name=systemd, or the first one listed

  /// What to show: v2 unless that is only "/" beside v1 hierarchies.
  const std::string& shown() const { return unified.empty() || (unified == "/" && !named.empty()) ? named : unified; }
};

/// One line of /proc/PID/maps.
struct MapEntry {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  std::uint64_t offset = 0;  ///< in the file
  unsigned dev_major = 0;
  unsigned dev_minor = 0;
  std::uint64_t inode = 0;  ///< 0: no file
  std::string path;         ///< decoded; " (deleted)" is kept
};

/// The parsers alone, for text of any origin; nullopt when it is not what its name says.
std::optional<Stat> parse_stat(std::string_view text);
std::optional<Status> parse_status(std::string_view text);
/// nullopt for "running".
std::optional<Place> parse_syscall(std::string_view text);
CgroupPaths parse_cgroup(std::string_view text);
std::optional<MapEntry> parse_maps_line(std::string_view line);
/// "0-3,8": the form of cpuset.cpus.effective and /sys/devices/system/cpu/online.
std::optional<CpuSet> parse_cpu_list(std::string_view text);
/// "ff,00000001": the form of Cpus_allowed.
std::optional<CpuSet> parse_cpu_mask(std::string_view text);

/// Reads at most `limit` bytes of a file without a size of its own (/proc, /sys). Errors: of open(2) and read(2).
Result<std::string> read_file(const std::string& path, std::size_t limit = 1U << 20);

class ProcFs {
 public:
  explicit ProcFs(std::string root = "/proc") : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  /// ROOT/PID/file.
  std::string path(int pid, std::string_view file) const;

  /// Errors of all: kGone when there is no such process (any more), kPermission, kMalformed.
  /// PIDs of all processes, ascending.
  Result<std::vector<int>> pids() const;
  /// Thread ids of `pid`, ascending, at most `limit`.
  Result<std::vector<int>> threads(int pid, std::size_t limit = 65536) const;
  Result<std::string> comm(int pid) const;
  Result<std::vector<std::string>> cmdline(int pid) const;
  /// NAME=VALUE as the process was started with; later setenv calls do not show here.
  Result<std::vector<std::string>> environment(int pid) const;
  Result<Stat> stat(int pid) const;
  Result<Stat> thread_stat(int pid, int tid) const;
  Result<Status> status(int pid) const;
  Result<Status> thread_status(int pid, int tid) const;
  /// Where a thread that is stopped or blocked in a system call would go on in user space (/proc/PID/task/TID/syscall);
  /// nullopt when it runs, or is gone by now.
  Result<std::optional<Place>> thread_place(int pid, int tid) const;
  /// Tells one boot of this machine from another.
  Result<std::string> boot_id() const;
  Result<ExeLink> exe(int pid) const;
  Result<CgroupPaths> cgroup(int pid) const;
  Result<std::vector<MapEntry>> maps(int pid) const;
  /// The value of an auxiliary vector entry (AT_ENTRY...), nullopt when it is not there.
  Result<std::optional<std::uint64_t>> auxv(int pid, std::uint64_t key) const;

 private:
  Result<std::string> read(int pid, std::string_view file, std::size_t limit) const;

  std::string root_;
};

}  // namespace mapwatch::proc
