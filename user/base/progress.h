// One line that says how far a long look has come: on a terminal only, never in a log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace mapwatch {

class Progress {
 public:
  /// Writes to `fd`; never when that is no terminal or `wanted` is false. `clock` must outlive it.
  Progress(int fd, bool wanted, const Clock& clock);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// At most every 100 ms, and not before half a second has passed: a short look needs no line.
  void show(std::string_view text);
  /// Takes the line away, before other output.
  void clear();

 private:
  void write(const std::string& text) const;

  const int fd_;
  const bool wanted_;
  const Clock& clock_;
  std::uint64_t next_ns_;
  bool shown_ = false;
};

}  // namespace mapwatch
