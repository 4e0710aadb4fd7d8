#include "guardian/own_cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/unique_fd.h"
#include "base/write_all.h"

namespace mapwatch::guardian {
namespace {

constexpr const char* kName = "/mapwatch-guardian";

/// Mount points of the hierarchies that track units, in systemd's three layouts (unified, hybrid, legacy).
std::vector<std::string> hierarchies() {
  std::vector<std::string> roots;
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"}) {
    struct statfs fs = {};
    if (::statfs(root, &fs) == 0 && (fs.f_type == CGROUP2_SUPER_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC)) {
      roots.emplace_back(root);
    }
  }
  return roots;
}

bool join(const std::string& cgroup) {
  const UniqueFd procs(::open((cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  return procs && ::write(procs.get(), "0", 1) == 1;  // 0: the writer
}

}  // namespace

std::string enter_own_cgroup() {
  std::string problem;
  bool entered = false;
  for (const std::string& root : hierarchies()) {
    const std::string own = root + kName;
    if ((::mkdir(own.c_str(), 0755) != 0 && errno != EEXIST) || !join(own)) {
      problem = "no cgroup of its own (" + own + ": " + std::strerror(errno) + ")";
    } else {
      entered = true;
    }
  }
  return problem.empty() && !entered ? "no cgroup of its own: no hierarchy is mounted" : problem;
}

void leave_own_cgroup() {
  for (const std::string& root : hierarchies()) {
    if (join(root)) {
      ::rmdir((root + kName).c_str());  // EBUSY: another guardian's, too
    }
  }
}

}  // namespace mapwatch::guardian
