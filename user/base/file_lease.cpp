#include "base/file_lease.h"

#include <fcntl.h>

#include <utility>

namespace mapwatch {

Result<FileLease> FileLease::take(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) {
    return fail_errno("cannot open " + path);
  }
  if (::fcntl(fd.get(), F_SETLEASE, F_RDLCK) != 0) {
    return fail_errno("cannot take a lease on " + path);
  }
  return FileLease(std::move(fd));
}

bool FileLease::writer_waits() const { return ::fcntl(fd_.get(), F_GETLEASE) != F_RDLCK; }

}  // namespace mapwatch
