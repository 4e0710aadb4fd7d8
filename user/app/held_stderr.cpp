#include "app/held_stderr.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/write_all.h"

namespace mapwatch::app {

namespace {

constexpr std::size_t kMostShown = 64 * 1024;
/// Months of messages are not kept: beyond this it starts again.
constexpr std::size_t kMostKept = 1024 * 1024;
constexpr std::string_view kName = "mapwatch: ";

}  // namespace

Result<HeldStderr> HeldStderr::hold() {
  if (::isatty(STDERR_FILENO) != 1) {
    return HeldStderr(UniqueFd(), UniqueFd());
  }
  UniqueFd kept(::memfd_create("mapwatch-stderr", MFD_CLOEXEC));
  UniqueFd terminal(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  if (!kept || !terminal || ::fcntl(kept.get(), F_SETFL, O_APPEND) != 0 || ::dup2(kept.get(), STDERR_FILENO) < 0) {
    return fail_errno("cannot hold back stderr");
  }
  return HeldStderr(std::move(kept), std::move(terminal));
}

HeldStderr::~HeldStderr() {
  if (!terminal_) {
    return;
  }
  ::dup2(terminal_.get(), STDERR_FILENO);
  const std::size_t all = size();
  // A terminal that is gone has nobody to tell.
  (void)write_all(STDERR_FILENO, text(all - std::min(all, kMostShown)), "stderr");
}

std::size_t HeldStderr::size() const {
  struct stat status = {};
  return ::fstat(kept_.get(), &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

std::string HeldStderr::text(std::size_t from) const {
  std::string out(size() - std::min(size(), from), '\0');
  const ssize_t got = ::pread(kept_.get(), out.data(), out.size(), static_cast<off_t>(from));
  out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return out;
}

std::string HeldStderr::last_line() {
  if (!terminal_ || size() <= told_) {
    return "";
  }
  const std::string fresh = text(told_);
  const std::size_t end = fresh.rfind('\n');
  if (end == std::string::npos) {
    return "";
  }
  told_ += end + 1;
  if (told_ > kMostKept && ::ftruncate(kept_.get(), 0) == 0) {
    told_ = 0;
  }
  const std::size_t begin = end == 0 ? std::string::npos : fresh.rfind('\n', end - 1);
  const std::string line = fresh.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin + 1));
  return line.starts_with(kName) ? line.substr(kName.size()) : line;
}

}  // namespace mapwatch::app
