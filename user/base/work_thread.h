// Symbols, output, disks and other daemons are slow; the thread that drains the ring must not be. Work is done here in
// the order it was given.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace mapwatch {

class WorkThread {
 public:
  static constexpr std::size_t kMost = 65536;

  /// `nice`: added to the thread's own (setpriority(2)), for work that must not hold up the others. `most`: of what
  /// is offered.
  explicit WorkThread(int nice = 0, std::size_t most = kMost);
  /// Does what was posted, then ends.
  ~WorkThread();
  WorkThread(const WorkThread&) = delete;
  WorkThread& operator=(const WorkThread&) = delete;

  /// What may be lost: it is refused, and counted, when `most` wait.
  void offer(std::function<void()> work);
  /// What must not be lost.
  void post(std::function<void()> work);
  /// Forgets what is not begun.
  void clear();
  /// Returns when all that was posted before is done.
  void drain();
  std::uint64_t refused() const;
  /// What was posted and is not begun.
  std::size_t waiting() const;

 private:
  void run(int nice);

  const std::size_t most_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool busy_ = false;
  bool stopping_ = false;
  std::uint64_t refused_ = 0;
  std::thread thread_;
};

}  // namespace mapwatch
