// Asks another program for its output: bounded in time and size.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"

namespace mapwatch {

struct ProgramOutput {
  std::string text;
  bool cut = false;  ///< it had more to say: `limit` or `bound` was reached, and it was killed
};

/// Runs `command` (an absolute path and its arguments) with an environment of its own, nothing on stdin and stderr
/// thrown away. It ends with the calling thread at the latest. Errors: kFailed when it cannot be started.
Result<ProgramOutput> run_program(const std::vector<std::string>& command, std::size_t limit,
                                  std::chrono::milliseconds bound);

}  // namespace mapwatch
