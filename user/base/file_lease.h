// Learns of a write to a file before it happens (fcntl(2), "Leases"): whoever opens the file for writing, or truncates
// it, waits until the lease is given back, for /proc/sys/fs/lease-break-time (45 s) at most.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch {

class FileLease {
 public:
  /// The process must ignore SIGIO, which would tell of a writer. Errors: kFailed where the file system has no leases,
  /// or the file is open for writing; kPermission without CAP_LEASE on another user's file.
  static Result<FileLease> take(const std::string& path);

  /// Somebody waits to write. Give the lease back (by ending this object) once the file may change.
  bool writer_waits() const;

 private:
  explicit FileLease(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace mapwatch
