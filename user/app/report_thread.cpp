#include "app/report_thread.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "base/signals.h"

namespace mapwatch::app {

ReportThread::ReportThread(int nice) {
  const SignalsBlocked blocked;
  thread_ = std::thread([this, nice] { run(nice); });
}

ReportThread::~ReportThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ReportThread::post_finding(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= kMaxQueued) {
      ++refused_;
      return;
    }
    queue_.push_back(std::move(work));
  }
  changed_.notify_all();
}

void ReportThread::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_all();
}

void ReportThread::clear() {
  const std::lock_guard lock(mutex_);
  queue_.clear();
}

void ReportThread::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty() && !busy_; });
}

std::uint64_t ReportThread::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

std::size_t ReportThread::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

void ReportThread::run(int nice) {
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

}  // namespace mapwatch::app
