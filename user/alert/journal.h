// Findings as entries of systemd's journal, with fields to look for them by.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace mapwatch::alert {

/// Whether the file `fd` is the one that the environment says is connected to the journal (systemd.exec(5),
/// $JOURNAL_STREAM: "DEVICE:INODE" in decimal numbers); `variable` nullptr: there is no such variable.
bool is_journal_stream(int fd, const char* variable);

/// Sends them on a thread of its own: journald may be slow to take them.
class Journal {
 public:
  Journal();
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// "NAME=VALUE" each. From any thread; never waits.
  void write(std::vector<std::string> fields);
  /// All that was written before is sent, or the time is up; then the thread ends.
  void finish();

  struct Counts {
    std::uint64_t written = 0;
    std::uint64_t failed = 0;  ///< nobody took it, or too many waited
  };
  Counts counts() const;

 private:
  static constexpr std::size_t kMostWaiting = 4096;
  void loop();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<std::string>> waiting_;
  bool stopping_ = false;
  bool told_failing_ = false;
  Counts counts_;
  std::thread thread_;
};

}  // namespace mapwatch::alert
