#include "base/seizer.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>

namespace mapwatch {
namespace {

constexpr std::chrono::milliseconds kLong(10);  // a seizure takes microseconds

}  // namespace

Seizer::~Seizer() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

int Seizer::seize(int tid) {
  ++turn_;
  int error = ::ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) == 0 ? 0 : errno;
  ++turn_;
  // Only its tracer may ask a thread to stop.
  if (error == EPERM && ::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) == 0) {
    error = 0;
  }
  if (error == 0) {
    const std::lock_guard lock(mutex_);
    seized_.push_back(tid);
  }
  return error;
}

void Seizer::watch() {
  std::uint64_t before = 0;
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kLong, [this] { return over_; })) {
    const std::uint64_t now = turn_;
    if (now == before && now % 2 == 1) {
      for (const int tid : seized_) {
        siginfo_t info = {};
        ::waitid(P_PID, static_cast<id_t>(tid), &info,
                 WEXITED | WNOHANG | __WALL);  // of one that lives nothing is told
      }
    }
    before = now;
  }
}

}  // namespace mapwatch
