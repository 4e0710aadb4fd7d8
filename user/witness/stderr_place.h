// Where a process's stderr goes, and what came there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/proc.h"
#include "base/unique_fd.h"

namespace mapwatch::witness {

enum class StderrKind {
  kUnknown,  ///< could not be looked at
  kClosed,   ///< no descriptor 2
  kNull,     ///< /dev/null
  kFile,     ///< a regular file
  kPipe,     ///< its other end may be read by anybody: a supervisor, a container's runtime
  kSocket,   ///< under systemd: the journal's
  kTerminal,
  kOther,
};

/// mnt_id of /proc/PID/fdinfo/FD; nullopt when it is no such text.
std::optional<int> parse_mount_id(std::string_view fdinfo);
/// The type of the file system of mount `id` by /proc/PID/mountinfo (proc(5)); empty when it is not there.
std::string mount_type(std::string_view mountinfo, int id);

/// Descriptor 2 as it was at one moment.
class StderrPlace {
 public:
  /// Does not wait for anybody: a file is opened only on a file system that the kernel serves by itself, nothing else
  /// is opened at all.
  static StderrPlace of(int pid, const proc::ProcFs& procfs);

  StderrKind kind() const { return kind_; }
  /// Path, or "pipe:[4026]": as /proc says it, raw.
  const std::string& name() const { return name_; }
  /// Why a file cannot be read; empty when it can.
  const std::string& unreadable() const { return unreadable_; }

  struct Growth {
    std::int64_t bytes = 0;  ///< negative: it is shorter than it was
    std::string text;        ///< the first of them
  };
  /// What the file got since, `limit` bytes of it; nullopt when it is no file that can be read.
  std::optional<Growth> growth(std::size_t limit) const;

 private:
  StderrKind kind_ = StderrKind::kUnknown;
  std::string name_;
  std::string unreadable_;
  UniqueFd file_;
  std::uint64_t end_ = 0;  ///< where the next byte was to go
};

}  // namespace mapwatch::witness
