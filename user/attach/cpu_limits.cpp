#include "attach/cpu_limits.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

namespace mapwatch::attach {
namespace {

constexpr std::size_t kMaxThreads = 512;      // read one by one, ~30 us each
constexpr std::size_t kMaxCgroupDepth = 128;  // deeper nesting bounds nothing here
constexpr std::string_view kGomaxprocs = "GOMAXPROCS=";

std::optional<std::int64_t> parse_number(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || text.empty() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::string> read_small(const std::string& path) {
  auto text = proc::read_file(path, 65536);
  if (!text) {
    return std::nullopt;
  }
  return std::move(*text);
}

/// `path` and its parents up to the root, nearest first: "/a/b", "/a", "".
std::vector<std::string> with_parents(std::string path) {
  std::vector<std::string> all;
  while (all.size() < kMaxCgroupDepth) {
    while (!path.empty() && path.back() == '/') {
      path.pop_back();
    }
    all.push_back(path);
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
      break;
    }
    path.resize(slash);
  }
  return all;
}

/// CPUs of quota/period, rounded up; nullopt without a quota.
std::optional<unsigned> quota_cpus(std::optional<std::int64_t> quota, std::optional<std::int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) {
    return std::nullopt;
  }
  const std::int64_t cpus = *quota / *period + (*quota % *period != 0 ? 1 : 0);
  return static_cast<unsigned>(std::min<std::int64_t>(cpus, UINT32_MAX));
}

/// cpu.max of cgroup v2: "max 100000" or "150000 100000".
std::optional<unsigned> quota_v2(const std::string& directory) {
  const auto text = read_small(directory + "/cpu.max");
  const std::size_t space = text ? text->find(' ') : std::string::npos;
  if (space == std::string::npos) {
    return std::nullopt;
  }
  return quota_cpus(parse_number(std::string_view(*text).substr(0, space)),
                    parse_number(std::string_view(*text).substr(space + 1)));
}

std::optional<unsigned> quota_v1(const std::string& directory) {
  const auto quota = read_small(directory + "/cpu.cfs_quota_us");
  const auto period = read_small(directory + "/cpu.cfs_period_us");
  if (!quota || !period) {
    return std::nullopt;
  }
  return quota_cpus(parse_number(*quota), parse_number(*period));
}

void lower(std::optional<unsigned>& bound, std::optional<unsigned> other) {
  if (other && *other > 0) {
    bound = std::min(bound.value_or(*other), *other);
  }
}

void read_cgroup(CpuLimits& limits, const proc::CgroupPaths& paths, const std::string& sysfs) {
  const std::string root = sysfs + "/fs/cgroup";
  const auto cpuset_of = [&limits](const std::string& directory, const char* file) {
    if (const auto text = read_small(directory + "/" + file)) {
      if (const auto set = proc::parse_cpu_list(*text)) {
        lower(limits.cpuset, static_cast<unsigned>(set->count()));
      }
    }
  };
  if (!paths.unified.empty()) {
    for (const std::string& path : with_parents(paths.unified)) {
      for (const std::string& mount : {root, root + "/unified"}) {  // pure v2; hybrid, as systemd mounts it
        lower(limits.quota, quota_v2(mount + path));
        cpuset_of(mount + path, "cpuset.cpus.effective");
      }
    }
  }
  if (!paths.cpu.empty()) {
    for (const std::string& path : with_parents(paths.cpu)) {
      for (const std::string& mount : {root + "/cpu", root + "/cpu,cpuacct"}) {
        lower(limits.quota, quota_v1(mount + path));
      }
    }
  }
  if (!paths.cpuset.empty()) {
    for (const std::string& path : with_parents(paths.cpuset)) {
      cpuset_of(root + "/cpuset" + path, "cpuset.effective_cpus");
    }
  }
}

}  // namespace

unsigned CpuLimits::effective() const {
  unsigned least = online;
  for (const unsigned bound : {affinity, cpuset.value_or(least), quota.value_or(least), gomaxprocs.value_or(least)}) {
    least = std::min(least, bound);
  }
  return std::max(least, 1U);
}

Result<CpuLimits> read_cpu_limits(int pid, const CpuSources& sources) {
  const proc::ProcFs& procfs = sources.procfs;
  CpuLimits limits;
  // The main thread's affinity is not the process': taskset -p moves one thread, and Go starts others.
  proc::CpuSet allowed = TRY(procfs.status(pid)).cpus_allowed;
  for (const int tid : TRY(procfs.threads(pid, kMaxThreads))) {
    if (const auto status = procfs.thread_status(pid, tid)) {
      allowed.add(status->cpus_allowed);
    }
    if (const auto stat = procfs.thread_stat(pid, tid)) {
      limits.realtime = limits.realtime || stat->realtime();
    }
  }
  const auto online_text = read_small(sources.sysfs + "/devices/system/cpu/online");
  const auto online = online_text ? proc::parse_cpu_list(*online_text) : std::nullopt;
  if (online && online->count() > 0) {
    limits.online = static_cast<unsigned>(online->count());
    allowed.keep(*online);
  } else {
    limits.online = static_cast<unsigned>(allowed.count());
  }
  limits.affinity = static_cast<unsigned>(allowed.count());
  if (const auto paths = procfs.cgroup(pid)) {
    read_cgroup(limits, *paths, sources.sysfs);
  }
  if (const auto environment = procfs.environment(pid)) {
    for (const std::string& variable : *environment) {
      // Of several the first one counts (runtime.gogetenv), and what is no positive number counts for nothing
      // (schedinit).
      if (variable.starts_with(kGomaxprocs)) {
        const auto value = parse_number(std::string_view(variable).substr(kGomaxprocs.size()));
        if (value && *value > 0) {
          limits.gomaxprocs = static_cast<unsigned>(std::min<std::int64_t>(*value, UINT32_MAX));
        }
        break;
      }
    }
  }
  return limits;
}

}  // namespace mapwatch::attach
