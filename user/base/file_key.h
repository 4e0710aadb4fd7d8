// Which file, and which state of it: an inode's number is used again, and a file may be written over in place.
#pragma once

#include <sys/stat.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace mapwatch {

struct FileKey {
  dev_t dev = 0;
  ino_t inode = 0;
  std::int64_t written_ns = 0;  ///< mtime; ctime would change when a running program's file is unlinked
  std::int64_t size = 0;

  auto operator<=>(const FileKey&) const = default;

  static FileKey of(const struct stat& status) {
    return {status.st_dev, status.st_ino, status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec,
            status.st_size};
  }
  /// Follows links. nullopt with errno set.
  static std::optional<FileKey> of(const std::string& path) {
    struct stat status = {};
    return ::stat(path.c_str(), &status) == 0 ? std::optional(of(status)) : std::nullopt;
  }
};

}  // namespace mapwatch
