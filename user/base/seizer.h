// PTRACE_SEIZE of the threads of a process of which one may be about to exec.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace mapwatch {

/// A thread that execs ends all others and waits until they have been waited for, which for a traced one its tracer
/// must do; meanwhile it holds the lock that PTRACE_SEIZE of it waits for (cred_guard_mutex: de_thread() in fs/exec.c,
/// ptrace_attach() in kernel/ptrace.c). Tracer and target would wait for each other for ever. So a second thread of
/// this process waits for the ended ones while a seizure takes long.
class Seizer {
 public:
  Seizer() : thread_([this] { watch(); }) {}
  Seizer(const Seizer&) = delete;
  Seizer& operator=(const Seizer&) = delete;
  ~Seizer();

  /// 0, or errno: ESRCH for a thread that has ended. The calling thread becomes the tracer. A thread that took
  /// another's id by an exec while it was seized is seized under that id, too.
  int seize(int tid);

 private:
  void watch();

  std::atomic<std::uint64_t> turn_ = 0;  ///< odd: in a seizure
  std::mutex mutex_;                     ///< of the next two
  std::vector<int> seized_;
  bool over_ = false;
  std::condition_variable changed_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace mapwatch
