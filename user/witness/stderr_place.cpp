#include "witness/stderr_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

namespace mapwatch::witness {
namespace {

// Served by the kernel alone. A file of FUSE or of a network is served by somebody who may be stuck, or be the very
// process that crashes.
constexpr std::array<std::string_view, 11> kLocal = {"ext2",    "ext3",  "ext4",   "xfs", "btrfs", "tmpfs",
                                                     "overlay", "ramfs", "rootfs", "zfs", "f2fs"};

/// The number after "NAME:" and blanks at the beginning of a line.
std::optional<std::uint64_t> number_of(std::string_view text, std::string_view name, int base) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(name)) {
      continue;
    }
    line.remove_prefix(name.size());
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), value, base);
    if (error != std::errc() || stop != line.data() + line.size()) {
      return std::nullopt;
    }
    return value;
  }
  return std::nullopt;
}

StderrKind kind_of(const struct statx& status) {
  switch (status.stx_mode & S_IFMT) {
    case S_IFREG:
      return StderrKind::kFile;
    case S_IFIFO:
      return StderrKind::kPipe;
    case S_IFSOCK:
      return StderrKind::kSocket;
    case S_IFCHR:
      // Documentation/admin-guide/devices.txt: 1:3 is null; 4, 5 and 136 to 143 are terminals.
      if (status.stx_rdev_major == 1 && status.stx_rdev_minor == 3) {
        return StderrKind::kNull;
      }
      return status.stx_rdev_major == 4 || status.stx_rdev_major == 5 ||
                     (status.stx_rdev_major >= 136 && status.stx_rdev_major <= 143)
                 ? StderrKind::kTerminal
                 : StderrKind::kOther;
    default:
      return StderrKind::kOther;
  }
}

/// Of a file on a local file system this asks nobody; of others it takes what the kernel has.
std::optional<struct statx> status_of(int fd) {
  struct statx status = {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_SIZE, &status) != 0) {
    return std::nullopt;
  }
  return status;
}

}  // namespace

std::optional<int> parse_mount_id(std::string_view fdinfo) {
  const auto id = number_of(fdinfo, "mnt_id:", 10);
  return id && *id <= INT32_MAX ? std::optional(static_cast<int>(*id)) : std::nullopt;
}

std::string mount_type(std::string_view mountinfo, int id) {
  const std::string begin = fmt::format("{} ", id);
  for (std::size_t at = 0; at < mountinfo.size();) {
    const std::size_t end = std::min(mountinfo.find('\n', at), mountinfo.size());
    const std::string_view line = mountinfo.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(begin)) {
      continue;
    }
    const std::size_t dash = line.find(" - ");  // ends the optional fields; blanks in paths are octal escapes
    if (dash == std::string_view::npos) {
      return "";
    }
    const std::string_view rest = line.substr(dash + 3);
    return std::string(rest.substr(0, rest.find(' ')));
  }
  return "";
}

StderrPlace StderrPlace::of(int pid, const proc::ProcFs& procfs) {
  StderrPlace place;
  const std::string link = procfs.path(pid, "fd/2");
  char name[4096];
  const ssize_t length = ::readlink(link.c_str(), name, sizeof(name));
  if (length < 0) {
    const bool closed = errno == ENOENT && ::access(procfs.path(pid, "fd").c_str(), F_OK) == 0;
    place.kind_ = closed ? StderrKind::kClosed : StderrKind::kUnknown;
    return place;
  }
  place.name_.assign(name, static_cast<std::size_t>(length));
  const UniqueFd path(::open(link.c_str(), O_PATH | O_CLOEXEC));  // opens no file: a handle on what it is
  const auto status = path ? status_of(path.get()) : std::nullopt;
  if (!status) {
    return place;
  }
  place.kind_ = kind_of(*status);
  if (place.kind_ != StderrKind::kFile) {
    return place;
  }
  const auto info = proc::read_file(procfs.path(pid, "fdinfo/2"), 4096);
  const auto mounts = proc::read_file(procfs.path(pid, "mountinfo"), std::size_t{1} << 20);
  const auto id = info ? parse_mount_id(*info) : std::nullopt;
  const std::string type = id && mounts ? mount_type(*mounts, *id) : "";
  if (std::ranges::find(kLocal, type) == kLocal.end()) {
    place.unreadable_ = type.empty() ? "its file system is not known" : "on " + type;
    return place;
  }
  const bool append = (number_of(*info, "flags:", 8).value_or(0) & O_APPEND) != 0;
  place.end_ =
      append ? status->stx_size : std::min<std::uint64_t>(number_of(*info, "pos:", 10).value_or(0), status->stx_size);
  place.file_.reset(
      ::open(fmt::format("/proc/self/fd/{}", path.get()).c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!place.file_) {
    place.unreadable_ = std::generic_category().message(errno);
  }
  return place;
}

std::optional<StderrPlace::Growth> StderrPlace::growth(std::size_t limit) const {
  const auto status = file_ ? status_of(file_.get()) : std::nullopt;
  if (!status) {
    return std::nullopt;
  }
  Growth growth;
  growth.bytes = static_cast<std::int64_t>(status->stx_size) - static_cast<std::int64_t>(end_);
  growth.text.resize(std::min<std::uint64_t>(limit, growth.bytes < 0 ? 0 : static_cast<std::uint64_t>(growth.bytes)));
  const ssize_t got = ::pread(file_.get(), growth.text.data(), growth.text.size(), static_cast<off_t>(end_));
  growth.text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return growth;
}

}  // namespace mapwatch::witness
