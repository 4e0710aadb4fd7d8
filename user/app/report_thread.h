// Symbols, output and disks are slow; the thread that drains the ring must not be. Work is done here in the order it
// was given.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace mapwatch::app {

class ReportThread {
 public:
  /// `nice`: added to the thread's own (setpriority(2)), for work that must not hold up the others.
  explicit ReportThread(int nice = 0);
  ~ReportThread();
  ReportThread(const ReportThread&) = delete;
  ReportThread& operator=(const ReportThread&) = delete;

  /// Findings: refused, and counted, when kMaxQueued are waiting.
  void post_finding(std::function<void()> work);
  /// What must not be lost: processes that come and go.
  void post(std::function<void()> work);
  /// Forgets what is not begun.
  void clear();
  /// Returns when all that was posted before is done.
  void drain();
  std::uint64_t refused() const;
  /// What was posted and is not begun.
  std::size_t waiting() const;

 private:
  static constexpr std::size_t kMaxQueued = 65536;
  void run(int nice);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool busy_ = false;
  bool stopping_ = false;
  std::uint64_t refused_ = 0;
  std::thread thread_;
};

}  // namespace mapwatch::app
