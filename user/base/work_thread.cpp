#include "base/work_thread.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "base/signals.h"

namespace mapwatch {

WorkThread::WorkThread(int nice, std::size_t most) : most_(most) {
  const SignalsBlocked blocked;
  thread_ = std::thread([this, nice] { run(nice); });
}

WorkThread::~WorkThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void WorkThread::offer(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= most_) {
      ++refused_;
      return;
    }
    queue_.push_back(std::move(work));
  }
  changed_.notify_all();
}

void WorkThread::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_all();
}

void WorkThread::clear() {
  const std::lock_guard lock(mutex_);
  queue_.clear();
}

void WorkThread::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty() && !busy_; });
}

std::uint64_t WorkThread::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

std::size_t WorkThread::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

void WorkThread::run(int nice) {
  if (nice != 0) {
    // Of one thread, on Linux. Where it is refused the work is as urgent as the rest.
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), ::getpriority(PRIO_PROCESS, 0) + nice);
  }
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) {
      return;
    }
    const std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    work();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

}  // namespace mapwatch
