#include "attach/target_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <filesystem>

#include "base/proc.h"

namespace mapwatch::attach {
namespace {

constexpr int kAttempts = 64;  // each lost attempt means that another mapwatch made progress
constexpr std::size_t kMaxContent = 4096;

std::string content_of(const std::string& command) {
  std::string text = std::to_string(::getpid()) + "\n" + command;
  text.resize(std::min(text.size(), kMaxContent - 1));
  return text + "\n";
}

/// "pid 4300 (mapwatch watch -p 4211)" from a lock file's text; `pid` is 0 when it holds none.
struct Holder {
  int pid = 0;
  std::string text = "another mapwatch";
};

Holder parse_holder(std::string_view text) {
  Holder holder;
  const std::size_t end = std::min(text.find('\n'), text.size());
  const auto [stop, error] = std::from_chars(text.data(), text.data() + end, holder.pid);
  if (error != std::errc() || stop != text.data() + end || holder.pid <= 0) {
    return Holder{};
  }
  std::string command;
  for (const char c : text.substr(end)) {  // others may be able to write there: nothing that moves a cursor
    command += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  holder.text = "pid " + std::to_string(holder.pid);
  const std::size_t first = command.find_first_not_of(' ');
  if (first != std::string::npos) {
    holder.text += " (" + command.substr(first, command.find_last_not_of(' ') - first + 1) + ")";
  }
  return holder;
}

bool same_file(int fd, const std::string& path) {
  struct stat open = {};
  struct stat named = {};
  return ::fstat(fd, &open) == 0 && ::lstat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino;
}

/// A file of our own, locked and with its content complete before anybody can see it under the lock's name.
Result<UniqueFd> make_locked_file(const std::string& path, const std::string& content) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) {
    return fail_errno("cannot create the lock file " + path, errno, "give a run directory that mapwatch may write to");
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 ||
      ::write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    const int error = errno;
    ::unlink(path.c_str());
    return fail_errno("cannot write the lock file " + path, error);
  }
  return fd;
}

std::string lock_path(const std::string& run_dir, int pid, std::uint64_t start_time) {
  return run_dir + "/" + std::to_string(pid) + "-" + std::to_string(start_time) + ".lock";
}

/// Removes a name at scope end; of a hard link the other name stays.
struct Unlinker {
  const std::string& path;
  ~Unlinker() { ::unlink(path.c_str()); }
};

}  // namespace

Result<TargetLock> TargetLock::acquire(const std::string& run_dir, int pid, std::uint64_t start_time,
                                       const std::string& command) {
  std::error_code error;
  std::filesystem::create_directories(run_dir, error);
  if (error) {
    return fail_errno("cannot create the run directory " + run_dir, error.value());
  }
  const std::string path = lock_path(run_dir, pid, start_time);
  // Named by process and by object, so that two threads of one process do not meet either.
  static std::atomic<unsigned> serial = 0;
  const std::string draft = path + "." + std::to_string(::getpid()) + "." + std::to_string(serial++);
  ::unlink(draft.c_str());  // left by a dead process that had our PID
  UniqueFd own = TRY(make_locked_file(draft, content_of(command)));
  const Unlinker unlinker{draft};

  Holder holder;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (::link(draft.c_str(), path.c_str()) == 0) {
      return TargetLock(std::move(own), path);
    }
    if (errno != EEXIST) {
      return fail_errno("cannot create the lock file " + path);
    }
    const UniqueFd other(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!other) {
      if (errno == ENOENT) {
        continue;  // released meanwhile
      }
      return fail_errno("cannot open the lock file " + path);
    }
    if (::flock(other.get(), LOCK_EX | LOCK_NB) == 0) {
      // Left by a dead holder. Whoever unlinks it holds its lock and has seen that the name is still its.
      if (same_file(other.get(), path) && ::unlink(path.c_str()) != 0) {
        return fail_errno("cannot remove the stale lock file " + path);
      }
      continue;
    }
    if (errno != EWOULDBLOCK) {
      return fail_errno("cannot lock " + path);
    }
    const std::string text = TRY(proc::read_file("/proc/self/fd/" + std::to_string(other.get()), kMaxContent));
    holder = parse_holder(text);
    // A dead holder's file may be held for the moment in which a third mapwatch removes it.
    const bool dead = holder.pid > 0 && ::kill(holder.pid, 0) != 0 && errno == ESRCH;
    if (!dead && same_file(other.get(), path)) {
      break;
    }
  }
  return fail(ErrorKind::kFailed, "process " + std::to_string(pid) + " is watched already, by " + holder.text,
              "stop that mapwatch first; only one may watch a process");
}

std::optional<std::string> TargetLock::holder(const std::string& run_dir, int pid, std::uint64_t start_time) {
  const std::string path = lock_path(run_dir, pid, start_time);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  // A shared lock is had for a moment where the holder is dead; acquire() tries again when it meets that.
  if (!file || ::flock(file.get(), LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
    return std::nullopt;
  }
  const auto text = proc::read_file("/proc/self/fd/" + std::to_string(file.get()), kMaxContent);
  return parse_holder(text ? *text : std::string()).text;
}

TargetLock& TargetLock::operator=(TargetLock&& other) noexcept {
  if (this != &other) {
    release();
    fd_ = std::move(other.fd_);
    path_ = std::move(other.path_);
  }
  return *this;
}

TargetLock::~TargetLock() { release(); }

void TargetLock::release() {
  if (fd_ && same_file(fd_.get(), path_)) {
    ::unlink(path_.c_str());
  }
  fd_.reset();
}

}  // namespace mapwatch::attach
