// The last system calls of crashing processes, seen by the kernel: when Go's first byte went to stderr, when the
// process asked to exit. A tracepoint on sys_enter makes every system call of the host some 20 ns dearer, so it is
// attached while a process is followed and at no other time.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "mapwatch/abi.h"

struct dying_bpf;

namespace mapwatch::attach {

/// Its calls may come from any thread.
class DyingWatch {
 public:
  /// Loads the program and attaches nothing. Errors: kPermission, kUnsupported (a kernel that is locked down), kFailed.
  static Result<std::unique_ptr<DyingWatch>> load();
  ~DyingWatch();

  /// From now on the calls of `tgid` are noted; `tid` is the thread that Go dies on. kFailed when MW_MAX_DYING are
  /// followed already, or the kernel has no sys_enter tracepoint.
  Result<void> follow(std::uint32_t tgid, std::uint32_t tid);
  /// What was noted so far; nullopt when it is not followed.
  std::optional<mw_dying> look(std::uint32_t tgid) const;
  /// The last look; detaches when nobody else is followed.
  std::optional<mw_dying> leave(std::uint32_t tgid);

 private:
  struct SkeletonDeleter {
    void operator()(dying_bpf* skeleton) const;
  };
  explicit DyingWatch(std::unique_ptr<dying_bpf, SkeletonDeleter> skeleton);

  mutable std::mutex mutex_;
  std::unique_ptr<dying_bpf, SkeletonDeleter> skeleton_;
  UniqueFd link_;
  std::size_t followed_ = 0;
};

}  // namespace mapwatch::attach
