#include "attach/target.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace mapwatch::attach {
namespace {

constexpr int kExecRetries = 8;  // open() starts anew when the process runs exec under it

std::string name_of(int pid, const std::string& comm = {}) {
  return "process " + std::to_string(pid) + (comm.empty() ? "" : " (" + comm + ")");
}

bool exited(int pidfd) {
  pollfd poll_fd = {pidfd, POLLIN, 0};
  return ::poll(&poll_fd, 1, 0) != 0;
}

/// A process that /proc does not show may be there all the same (mount option hidepid).
tl::unexpected<Error> missing(int pid, Error error) {
  if (error.kind == ErrorKind::kGone && (::kill(pid, 0) == 0 || errno == EPERM)) {
    return fail(ErrorKind::kPermission, name_of(pid) + " is hidden from this user in /proc", "run mapwatch as root");
  }
  if (error.kind == ErrorKind::kGone) {
    error.hint = "`mapwatch ls` lists the Go processes there are";
  }
  return tl::unexpected<Error>(std::move(error));
}

Result<UniqueFd> open_pidfd(int pid) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // glibc 2.36 has a wrapper, older ones do not
  if (!fd) {
    return fail_errno("cannot open a pidfd of " + name_of(pid));
  }
  return fd;
}

Result<UniqueFd> open_exe(const std::string& link, int pid, const std::string& comm, int pidfd) {
  UniqueFd fd(::open(link.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd) {
    return fd;
  }
  const int error = errno;
  if (exited(pidfd) || error == ENOENT) {  // ENOENT: its memory is gone, the end is about to be told
    return fail(ErrorKind::kGone, name_of(pid, comm) + " exited while mapwatch was opening it");
  }
  if (error == EACCES || error == EPERM) {
    return fail(ErrorKind::kPermission, "no permission to open the executable of " + name_of(pid, comm),
                "run mapwatch as root, or with CAP_SYS_PTRACE beside CAP_BPF and CAP_PERFMON");
  }
  return fail_errno("cannot open the executable of " + name_of(pid, comm) + ", " + link, error);
}

/// Refuses 32-bit programs by name; anything else that is no 64-bit ELF file is GoBinary's to explain.
Result<void> check_class(int exe_fd, int pid, const std::string& comm) {
  unsigned char ident[EI_NIDENT] = {};
  if (::pread(exe_fd, ident, sizeof ident, 0) == static_cast<ssize_t>(sizeof ident) &&
      std::memcmp(ident, ELFMAG, SELFMAG) == 0 && ident[EI_CLASS] == ELFCLASS32) {
    return fail(ErrorKind::kUnsupported, name_of(pid, comm) + " runs a 32-bit program",
                "mapwatch watches 64-bit x86 programs (GOARCH=amd64) only");
  }
  return {};
}

bool is_exe(const proc::MapEntry& entry, const ExeName& exe) {
  return entry.inode != 0 &&
         (entry.inode == exe.inode || entry.path == exe.path || entry.path == exe.path + " (deleted)");
}

}  // namespace

Result<Target> Target::open(int pid, const proc::ProcFs& procfs) {
  if (pid <= 0) {
    return fail(ErrorKind::kUsage, "not a process id: " + std::to_string(pid));
  }
  for (int attempt = 0; attempt < kExecRetries; ++attempt) {
    auto stat = procfs.stat(pid);
    if (!stat) {
      return missing(pid, std::move(stat).error());
    }
    if (stat->kernel_thread()) {
      return fail(ErrorKind::kUnsupported, name_of(pid, stat->comm) + " is a kernel thread, not a program");
    }
    const proc::Status status = TRY(procfs.status(pid));
    if (status.tgid != pid) {
      return fail(ErrorKind::kUsage, std::to_string(pid) + " is a thread of process " + std::to_string(status.tgid),
                  "give the process: -p " + std::to_string(status.tgid));
    }
    Target target;
    target.procfs_ = procfs;
    target.pid_ = pid;
    target.start_time_ = stat->start_time;
    target.comm_ = stat->comm;
    target.uid_ = status.real_uid;
    target.ns_pids_ = status.ns_pids.empty() ? std::vector<int>{pid} : status.ns_pids;
    target.pidfd_ = TRY(open_pidfd(pid));
    if (exited(target.pidfd())) {
      return fail(ErrorKind::kGone,
                  name_of(pid, stat->comm) + " has exited (zombie: its parent has not waited for it)");
    }
    target.exe_fd_ = TRY(open_exe(procfs.path(pid, "exe"), pid, stat->comm, target.pidfd()));
    struct stat file = {};
    if (::fstat(target.exe_fd(), &file) != 0) {
      return fail_errno("cannot stat the executable of " + name_of(pid, stat->comm));
    }
    target.exe_key_ = FileKey::of(file);
    TRY(check_class(target.exe_fd(), pid, stat->comm));
    const proc::ExeLink link = TRY(procfs.exe(pid));
    target.exe_path_ = link.path;
    target.exe_deleted_ = link.deleted;
    if (const auto cgroup = procfs.cgroup(pid)) {
      target.cgroup_ = cgroup->shown();
    }
    // All of the above was one process and one program only if they still are what they were.
    const auto again = procfs.stat(pid);
    if (!again || again->start_time != target.start_time_ || !target.alive()) {
      return fail(ErrorKind::kGone, name_of(pid, stat->comm) + " exited while mapwatch was opening it");
    }
    if (target.same_exe()) {
      return target;
    }
  }
  return fail(ErrorKind::kGone, name_of(pid) + " keeps running exec: there is no one program to watch");
}

std::string Target::attach_path() const { return "/proc/self/fd/" + std::to_string(exe_fd()); }

bool Target::alive() const { return !exited(pidfd()); }

bool Target::same_exe() const {
  struct stat file = {};
  return ::stat(procfs_.path(pid_, "exe").c_str(), &file) == 0 && file.st_dev == exe_key_.dev &&
         file.st_ino == exe_key_.inode && alive();
}

Result<void> Target::check() const {
  if (!alive()) {
    return fail(ErrorKind::kGone, name_of(pid_, comm_) + " has exited");
  }
  if (!same_exe()) {
    if (!alive()) {
      return fail(ErrorKind::kGone, name_of(pid_, comm_) + " has exited");
    }
    return fail(ErrorKind::kGone, name_of(pid_, comm_) + " runs another program now: it was " + exe_path_);
  }
  return {};
}

Result<TextAnchor> text_anchor(const elf::GoBinary& binary, const std::string& path) {
  const auto functions = binary.functions();
  const auto offset = functions.empty() ? std::nullopt : binary.file_offset(functions.front().entry);
  if (!offset) {
    return fail(ErrorKind::kMalformed, path + " has no function in an executable segment");
  }
  return TextAnchor{functions.front().entry, *offset};
}

Result<std::uint64_t> Target::load_bias(const elf::GoBinary& binary) const {
  return load_bias(TRY(text_anchor(binary, exe_path_)));
}

Result<std::uint64_t> Target::load_bias(const TextAnchor& anchor) const {
  const std::vector<proc::MapEntry> maps = TRY(procfs_.maps(pid_));
  const std::optional<std::uint64_t> entry_point = TRY(procfs_.auxv(pid_, AT_ENTRY));
  TRY(check());  // maps of an exiting process are empty, and those of another program are not ours
  auto bias = find_load_bias(maps, ExeName{exe_key_.inode, exe_path_}, anchor, entry_point.value_or(0));
  if (!bias) {
    Error error = std::move(bias).error();
    error.message = name_of(pid_, comm_) + ": " + error.message;
    return tl::unexpected<Error>(std::move(error));
  }
  return bias;
}

Result<std::uint64_t> find_load_bias(const std::vector<proc::MapEntry>& maps, const ExeName& exe,
                                     const TextAnchor& anchor, std::uint64_t entry_point) {
  std::optional<std::uint64_t> bias;
  for (const proc::MapEntry& entry : maps) {
    if (!entry.executable || !is_exe(entry, exe) || anchor.file_offset < entry.offset ||
        anchor.file_offset - entry.offset >= entry.end - entry.start) {
      continue;
    }
    const std::uint64_t found = entry.start + (anchor.file_offset - entry.offset) - anchor.address;
    if (entry_point >= entry.start && entry_point < entry.end) {
      return found;
    }
    if (!bias) {
      bias = found;
    }
  }
  if (!bias) {
    return fail(ErrorKind::kUnsupported, "no executable mapping of " + exe.path,
                "a program that moved its own text to other memory cannot be probed");
  }
  return *bias;
}

}  // namespace mapwatch::attach
