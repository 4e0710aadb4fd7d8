#include "report/writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace mapwatch::report {
namespace {

constexpr int kBlockedMs = 1000;  // a reader of a non-blocking pipe may be slow, not for ever

/// Length of a regular file, to take back half an object when the disk is full.
std::optional<off_t> length_of(int fd) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  return status.st_size;
}

}  // namespace

Writer::Writer(WriterOptions options, const Clock& clock, UniqueFd log)
    : options_(std::move(options)), clock_(&clock), log_(std::move(log)) {}

Result<Writer> Writer::create(WriterOptions options, const Clock& clock) {
  UniqueFd log;
  if (!options.log_path.empty()) {
    log.reset(::open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
    if (!log) {
      return fail_errno(fmt::format("--log-path {}", options.log_path), errno, "name a file that can be written");
    }
    options.style.color = false;
  }
  if (options.format == Format::kJson) {
    options.style.color = false;
  }
  return Writer(std::move(options), clock, std::move(log));
}

WriteOutcome Writer::write(Report& report) {
  const bool finding = std::holds_alternative<HazardReport>(report) || std::holds_alternative<CrashReport>(report);
  const bool message = !finding && options_.format != Format::kJson;
  if (message && options_.quiet) {
    return WriteOutcome::kWritten;
  }
  if (closed_ && !message) {
    return WriteOutcome::kClosed;
  }
  if (auto* hazard = std::get_if<HazardReport>(&report)) {
    hazard->printed_ns = clock_->monotonic_ns();
  } else if (auto* crash = std::get_if<CrashReport>(&report)) {
    crash->printed_ns = clock_->monotonic_ns();
  }
  std::string text;
  switch (options_.format) {
    case Format::kText:
      text = to_text(report, options_.style);
      break;
    case Format::kCompact:
      text = to_compact(report, options_.style);
      break;
    case Format::kJson:
      text = to_json(report, options_.style);
      break;
  }
  if (message) {
    return send(options_.messages_fd, text);
  }
  const WriteOutcome outcome = send(log_ ? log_.get() : options_.findings_fd, text);
  closed_ = closed_ || outcome == WriteOutcome::kClosed;
  return outcome;
}

WriteOutcome Writer::send(int fd, const std::string& text) {
  const std::optional<off_t> before = length_of(fd);
  std::size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t n = ::write(fd, text.data() + sent, text.size() - sent);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      continue;
    }
    const int error = n == 0 ? EIO : errno;
    if (error == EINTR) {
      continue;
    }
    if (error == EAGAIN) {
      pollfd wait{fd, POLLOUT, 0};
      if (::poll(&wait, 1, kBlockedMs) > 0) {
        continue;
      }
    }
    if (error == EPIPE) {
      return WriteOutcome::kClosed;
    }
    if (before && sent > 0 && ::ftruncate(fd, *before) != 0) {
      last_error_ = "half an object was left: ";
    } else {
      last_error_.clear();
    }
    last_error_ += std::generic_category().message(error);
    ++lost_;
    return WriteOutcome::kLost;
  }
  return WriteOutcome::kWritten;
}

}  // namespace mapwatch::report
