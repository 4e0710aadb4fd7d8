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

namespace mapwatch::alert {
namespace {

constexpr const char* kSocket = "/run/systemd/journal/socket";

}  // namespace

bool is_journal_stream(int fd, const char* variable) {
  struct stat info = {};
  return variable != nullptr && ::fstat(fd, &info) == 0 && fmt::format("{}:{}", info.st_dev, info.st_ino) == variable;
}

void Journal::write(std::vector<std::string> fields) {
  thread_.offer([this, fields = std::move(fields)]() mutable { send(std::move(fields)); });
}

Journal::Counts Journal::counts() const { return {written_, failed_ + thread_.refused()}; }

void Journal::send(std::vector<std::string> fields) {
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
  ++(sent < 0 ? failed_ : written_);
}

}  // namespace mapwatch::alert
