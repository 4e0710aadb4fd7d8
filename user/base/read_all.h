// Whole files from a file descriptor.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>

namespace mapwatch {

/// What `fd` has up to its end, `most` bytes of it at most, however many read(2) calls that takes. nullopt: errno says
/// why.
inline std::optional<std::string> read_all(int fd, std::size_t most) {
  std::string text;
  char buffer[16384];
  while (text.size() < most) {
    const ssize_t got = ::read(fd, buffer, std::min(sizeof(buffer), most - text.size()));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return std::nullopt;
    }
    if (got == 0) {
      break;
    }
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace mapwatch
