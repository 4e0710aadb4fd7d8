// Asks another program for its output: bounded in time and size.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"

namespace mapwatch {

/// Held by whoever closes descriptors and must be the last to hold them, and by run_program() while its child has
/// copies of all (attach/shield.h: a link that is closed is to be gone).
std::mutex& descriptor_copies();

struct ProgramOutput {
  std::string text;
  bool cut = false;  ///< it had more to say: `limit` or `bound` was reached, and it was killed
};

/// Runs `command` (an absolute path and its arguments) with an environment of its own, nothing on stdin and stderr
/// thrown away. It ends with the calling thread at the latest. Errors: kFailed when it cannot be started.
Result<ProgramOutput> run_program(const std::vector<std::string>& command, std::size_t limit,
                                  std::chrono::milliseconds bound);

}  // namespace mapwatch
