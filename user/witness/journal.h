// What systemd's journal has of a process, by journalctl(1).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mapwatch::witness {

struct JournalLine {
  std::uint64_t received_ns = 0;  ///< CLOCK_MONOTONIC when journald had it, to the us
  std::string message;            ///< as the process wrote it
};

/// An object of `journalctl -o json` (systemd.journal-fields(7), "Journal JSON Format"): numbers are strings, a message
/// that is no UTF-8 is a list of bytes. nullopt: something else.
std::optional<JournalLine> parse_journal_line(std::string_view json);

class Journal {
 public:
  explicit Journal(std::string program = "/usr/bin/journalctl", std::string socket = "/run/systemd/journal/stdout")
      : program_(std::move(program)), socket_(std::move(socket)) {}

  /// journald runs here, as far as can be seen.
  bool there() const;
  /// Lines of process `pid` (as the host numbers it) since `wall_s`, seconds since 1970, in their order; at most 4 MiB
  /// of JSON within `bound`, `cut` says that there was more. Errors: kFailed when journalctl cannot be run.
  struct Lines {
    std::vector<JournalLine> lines;
    bool cut = false;
  };
  Result<Lines> lines(int pid, std::int64_t wall_s, std::chrono::milliseconds bound) const;

 private:
  std::string program_;
  std::string socket_;
};

}  // namespace mapwatch::witness
