#include "app/state_dir.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/escape.h"

namespace mapwatch::app {

std::string state_dir(const cli::Options& options) {
  if (!options.state_dir.empty()) {
    return options.state_dir;
  }
  if (::geteuid() == 0) {
    return "/var/lib/mapwatch";
  }
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') {
    return std::string(state) + "/mapwatch";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr && home[0] == '/' ? home : "/tmp") + "/.local/state/mapwatch";
}

Result<void> check_state_dir(const cli::Options& options) {
  const std::string path = state_dir(options);
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 ? !S_ISDIR(info.st_mode) : errno == ENOTDIR) {
    return fail(ErrorKind::kUsage, fmt::format("--state-dir {} is no directory", escape(path)),
                "name a directory; it is made when it is not there");
  }
  return {};
}

}  // namespace mapwatch::app
