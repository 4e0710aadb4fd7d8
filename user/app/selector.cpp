#include "app/selector.h"

#include <fnmatch.h>

#include <algorithm>

namespace mapwatch::app {

namespace {

bool any_matches(const std::vector<std::string>& patterns, const std::string& text) {
  return std::ranges::any_of(
      patterns, [&](const std::string& pattern) { return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0; });
}

/// "/a/b" holds itself and "/a/b/c", not "/a/bc".
bool cgroup_holds(const std::string& path, const std::string& inner) {
  return inner.starts_with(path) && (inner.size() == path.size() || path.ends_with('/') || inner[path.size()] == '/');
}

}  // namespace

Selector::Selector(const cli::Options& options)
    : all_(options.all),
      names_(options.names),
      globs_(options.exe_globs),
      cgroup_(options.cgroup),
      excludes_(options.excludes) {}

bool Selector::any() const { return all_ || !names_.empty() || !globs_.empty() || !cgroup_.empty(); }

Match Selector::match(const proc::ProcFs& procfs, int pid) const {
  if (all_ && excludes_.empty()) {
    return Match::kFile;
  }
  const auto exe = procfs.exe(pid);
  if (!exe) {
    return Match::kNo;
  }
  const std::string base = exe->path.substr(exe->path.rfind('/') + 1);
  const auto comm = procfs.comm(pid);
  if (any_matches(excludes_, exe->path) || any_matches(excludes_, base) || (comm && any_matches(excludes_, *comm))) {
    return Match::kNo;
  }
  const auto named = [this](const std::string& name) { return std::ranges::find(names_, name) != names_.end(); };
  if (all_ || named(base) || any_matches(globs_, exe->path)) {
    return Match::kFile;
  }
  if (comm && named(*comm)) {
    return Match::kProcess;
  }
  if (!cgroup_.empty()) {
    const auto cgroup = procfs.cgroup(pid);
    return cgroup && cgroup_holds(cgroup_, cgroup->shown()) ? Match::kProcess : Match::kNo;
  }
  return Match::kNo;
}

}  // namespace mapwatch::app
