// What the kernel's log says of a process from some moment on (/dev/kmsg; Documentation/ABI/testing/dev-kmsg).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch::witness {

struct KernelLine {
  std::uint64_t time_ns = 0;  ///< the log's own clock: close to CLOCK_MONOTONIC, not the same
  std::string text;           ///< raw: users may write to the log
};

/// One record: "priority,number,microseconds,flags;text", then a newline and more of which nothing is kept.
std::optional<KernelLine> parse_kernel_record(std::string_view record);

/// True when `text` names process `pid` in one of the kernel's ways: "race[4211]", "PID: 4211", "process 4211",
/// "pid=4211", "task race:4211".
bool names_process(std::string_view text, int pid);

class KernelLog {
 public:
  /// What is logged from now on. Errors: kPermission, kFailed (no such device).
  static Result<KernelLog> open_at_end(const std::string& path = "/dev/kmsg");
  /// `fd` gives a record a read.
  explicit KernelLog(UniqueFd fd) : fd_(std::move(fd)) {}

  /// What was logged since the last call of lines that name `pid`; at most 64 lines of 4,096. Does not wait.
  struct Lines {
    std::vector<KernelLine> lines;
    bool cut = false;  ///< there were more, or some were overwritten before they could be read
  };
  Lines lines_of(int pid) const;

 private:
  UniqueFd fd_;
};

}  // namespace mapwatch::witness
