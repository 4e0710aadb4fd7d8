#include "app/state_dir.h"

#include <unistd.h>

#include <cstdlib>

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

}  // namespace mapwatch::app
