// Files that hold secrets or say whom to trust: who else may read or change them decides whether they are used.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>

#include "base/result.h"

namespace mapwatch {

/// Whether it is a regular file that every user may write to.
inline bool everybody_writes(const struct stat& info) { return S_ISREG(info.st_mode) && (info.st_mode & S_IWOTH) != 0; }

struct GuardedFile {
  std::string text;
  bool others_read = false;  ///< users that are neither its owner nor in its group may read it
};

/// Reads a regular file of at most `most` bytes. kFailed: it is none, is longer, or others than its owner may change
/// it; else the error of open(2) or read(2).
Result<GuardedFile> read_guarded_file(const std::string& path, std::size_t most);

/// The error for a file that others may read and must not.
tl::unexpected<Error> others_read_it(const std::string& path);

/// read_guarded_file() of a secret: kFailed, too, if others may read it.
Result<std::string> read_secret_file(const std::string& path, std::size_t most);

}  // namespace mapwatch
