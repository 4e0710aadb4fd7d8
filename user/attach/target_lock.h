// One mapwatch per target: two would hold the same goroutines twice and charge them twice.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch::attach {

/// An flock on RUN_DIR/PID-STARTTIME.lock. It goes with the holder's process, so a file left behind by a killed
/// mapwatch bars nobody.
class TargetLock {
 public:
  /// Makes `run_dir` when it is missing. `command` is written into the file for those who are refused. Errors: kFailed
  /// naming the holder's PID and command when the target is locked, kPermission.
  static Result<TargetLock> acquire(const std::string& run_dir, int pid, std::uint64_t start_time,
                                    const std::string& command);

  /// "pid 4300 (mapwatch watch -p 4211)" when a live mapwatch holds the lock; nullopt when none does or nobody can
  /// tell.
  static std::optional<std::string> holder(const std::string& run_dir, int pid, std::uint64_t start_time);

  TargetLock(TargetLock&& other) noexcept = default;
  TargetLock& operator=(TargetLock&& other) noexcept;
  TargetLock(const TargetLock&) = delete;
  TargetLock& operator=(const TargetLock&) = delete;
  /// Removes the file while it still holds the lock, so that nobody's newer file is removed.
  ~TargetLock();

  const std::string& path() const { return path_; }

 private:
  TargetLock(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  void release();

  UniqueFd fd_;
  std::string path_;
};

}  // namespace mapwatch::attach
