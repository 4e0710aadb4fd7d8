// Findings as entries of systemd's journal, with fields to look for them by.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/work_thread.h"

namespace mapwatch::alert {

/// Whether the file `fd` is the one that the environment says is connected to the journal (systemd.exec(5),
/// $JOURNAL_STREAM: "DEVICE:INODE" in decimal numbers); `variable` nullptr: there is no such variable.
bool is_journal_stream(int fd, const char* variable);

/// Sends them on a thread of its own: journald may be slow to take them.
class Journal {
 public:
  /// "NAME=VALUE" each. From any thread; never waits.
  void write(std::vector<std::string> fields);
  /// Returns when all that was written before is sent.
  void finish() { thread_.drain(); }

  struct Counts {
    std::uint64_t written = 0;
    std::uint64_t failed = 0;  ///< nobody took it, or too many waited
  };
  Counts counts() const;

 private:
  static constexpr std::size_t kMostWaiting = 4096;
  void send(std::vector<std::string> fields);

  bool told_failing_ = false;  ///< the thread's
  std::atomic<std::uint64_t> written_ = 0;
  std::atomic<std::uint64_t> failed_ = 0;
  WorkThread thread_{0, kMostWaiting};  // last: its work uses all of the above
};

}  // namespace mapwatch::alert
