// A dispatcher on a thread of its own: who tells it of findings never waits.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "alert/dispatcher.h"

namespace mapwatch::alert {

class Sender {
 public:
  /// Starts the thread. `store_path`: its file. `clock` must outlive it. kFailed: libcurl does not start.
  static Result<std::unique_ptr<Sender>> start(Receiver receiver, std::string store_path, const Clock& clock);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  /// Dispatcher::change, once what is being sent now has an answer; what is as it was changes nothing.
  void change(Receiver receiver);
  /// From any thread. What does not fit is counted as dropped.
  void tell(Sighting sighting);
  void touch(std::string fingerprint);
  /// What is to be told is put on the disk and tried once more, for kFinishNs at most; then the thread ends.
  void finish();
  /// Begins to end, and does not wait for it; finish() does.
  void ask_to_end();
  const std::string& name() const { return name_; }
  Dispatcher::Counts counts() const;

  static constexpr std::uint64_t kFinishNs = 2'000'000'000;

 private:
  static constexpr std::size_t kMostQueued = 16'384;
  Sender(Receiver receiver, std::unique_ptr<CurlTransport> transport, std::string store_path, const Clock& clock);
  void run();

  const Clock& clock_;
  const std::string name_;
  std::unique_ptr<CurlTransport> transport_;
  Dispatcher dispatcher_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Receiver receiver_;  ///< as it was given last
  bool receiver_changed_ = false;
  std::vector<Sighting> told_;
  std::unordered_set<std::string> touched_;
  std::uint64_t dropped_ = 0;
  bool stopping_ = false;
  Dispatcher::Counts counts_;
  std::thread thread_;
};

}  // namespace mapwatch::alert
