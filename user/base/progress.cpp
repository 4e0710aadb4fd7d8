#include "base/progress.h"

#include <unistd.h>

namespace mapwatch {

namespace {

constexpr std::uint64_t kPatienceNs = 500'000'000;
constexpr std::uint64_t kPeriodNs = 100'000'000;

}  // namespace

Progress::Progress(int fd, bool wanted, const Clock& clock)
    : fd_(fd), wanted_(wanted && ::isatty(fd) == 1), clock_(clock), next_ns_(clock.monotonic_ns() + kPatienceNs) {}

void Progress::show(std::string_view text) {
  if (!wanted_ || clock_.monotonic_ns() < next_ns_) {
    return;
  }
  next_ns_ = clock_.monotonic_ns() + kPeriodNs;
  shown_ = true;
  write("\r" + std::string(text) + "\x1b[K");
}

void Progress::clear() {
  if (shown_) {
    write("\r\x1b[K");
  }
  shown_ = false;
}

void Progress::write(const std::string& text) const {
  // A line that cannot be shown is no loss.
  [[maybe_unused]] const ssize_t written = ::write(fd_, text.data(), text.size());
}

}  // namespace mapwatch
