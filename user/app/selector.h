// Which processes the user chose: -a, -n, -x, --cgroup, --exclude. Asked of each process as it appears.
#pragma once

#include <string>

#include "base/proc.h"
#include "cli/options.h"

namespace mapwatch::app {

enum class Match {
  kNo,
  kProcess,  ///< this one; another process of the same file may not match
  kFile,     ///< by its executable: every process of the file matches
};

class Selector {
 public:
  explicit Selector(const cli::Options& options);

  /// Whether processes are chosen by what they are, not only by PID: then new ones are to be looked at.
  bool any() const;
  /// kNo too when the process is gone. Reads no more of /proc than the selectors ask for.
  Match match(const proc::ProcFs& procfs, int pid) const;

 private:
  bool all_;
  std::vector<std::string> names_;
  std::vector<std::string> globs_;
  std::string cgroup_;
  std::vector<std::string> excludes_;
};

}  // namespace mapwatch::app
