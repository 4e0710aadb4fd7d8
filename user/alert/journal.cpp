#include "alert/journal.h"

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// The entry tells where the race is, not where in mapwatch it was sent from.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/signals.h"

namespace mapwatch::alert {
namespace {

constexpr const char* kSocket = "/run/systemd/journal/socket";

}  // namespace

bool is_journal_stream(int fd, const char* variable) {
  struct stat info = {};
  return variable != nullptr && ::fstat(fd, &info) == 0 && fmt::format("{}:{}", info.st_dev, info.st_ino) == variable;
}

Journal::Journal() {
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { loop(); });
}

Journal::~Journal() { finish(); }

void Journal::write(std::vector<std::string> fields) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMostWaiting || stopping_) {
      ++counts_.failed;
      return;
    }
    waiting_.push_back(std::move(fields));
  }
  changed_.notify_all();
}

void Journal::finish() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

Journal::Counts Journal::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Journal::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) {
      return;
    }
    std::vector<std::string> fields = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    std::vector<iovec> parts;
    for (std::string& field : fields) {
      parts.push_back({field.data(), field.size()});
    }
    // sd_journal_sendv(3) says that all is well when nobody is there.
    const int sent =
        ::access(kSocket, F_OK) != 0 ? -errno : ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
    if (sent < 0 && !std::exchange(told_failing_, true)) {
      log::warn("the journal does not take findings: {}", std::generic_category().message(-sent));
    }
    lock.lock();
    ++(sent < 0 ? counts_.failed : counts_.written);
  }
}

}  // namespace mapwatch::alert
