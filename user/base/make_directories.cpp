#include "base/make_directories.h"

#include <sys/stat.h>

#include <cerrno>

namespace mapwatch {

Result<void> make_directories(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    if (::mkdir(path.substr(0, at).c_str(), 0755) != 0 && errno != EEXIST) {
      return fail_errno("cannot create " + path.substr(0, at));
    }
  }
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno("cannot create " + path);
  }
  return {};
}

}  // namespace mapwatch
