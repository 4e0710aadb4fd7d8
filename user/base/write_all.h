// Whole texts to a file descriptor.
#pragma once

#include <unistd.h>

#include <string_view>

#include "base/result.h"

namespace mapwatch {

/// Writes all of `text`, however many write(2) calls that takes. `what` names the destination in the error. A reader
/// that closed its end is no error to complain about (`mapwatch ls | head`): the rest is dropped.
inline Result<void> write_all(int fd, std::string_view text, const std::string& what) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0 && errno == EPIPE) {
      return {};
    }
    if (written < 0) {
      return fail_errno("cannot write to " + what);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace mapwatch
