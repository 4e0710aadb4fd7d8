#include "base/job.h"

#include <array>
#include <charconv>

namespace mapwatch::proc {
namespace {

std::optional<Job> job_of(int pid, const ProcFs& procfs) {
  const auto text = read_file(procfs.path(pid, "stat"), 4096);
  return text ? parse_job(*text) : std::nullopt;
}

}  // namespace

std::optional<Job> parse_job(std::string_view stat) {
  const std::size_t name_end = stat.rfind(')');  // the name itself may hold anything
  if (name_end == std::string_view::npos || stat.size() < name_end + 4) {
    return std::nullopt;
  }
  std::string_view rest = stat.substr(name_end + 4);  // ") S "
  std::array<int, 5> values = {};
  for (int& value : values) {
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc() || stop == rest.data() + rest.size() || *stop != ' ') {
      return std::nullopt;
    }
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()) + 1);
  }
  return Job{values[0], values[1], values[2], values[3], values[4]};
}

bool is_foreground_job(int pid, const ProcFs& procfs) {
  const auto job = job_of(pid, procfs);
  if (!job || job->terminal == 0 || job->foreground_group != job->group) {
    return false;
  }
  const auto parent = job_of(job->ppid, procfs);
  return parent && parent->session == job->session && parent->group != job->group;
}

}  // namespace mapwatch::proc
