#include "base/job.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace mapwatch::proc {
namespace {

// Programs that stop themselves when their child is stopped (guardian/parents.h has the sources).
constexpr std::array<std::string_view, 4> kPassOn = {"su", "runuser", "sudo", "script"};
constexpr int kGenerations = 4;

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
  const auto in_foreground = [](const Job& job) { return job.terminal != 0 && job.foreground_group == job.group; };
  auto job = job_of(pid, procfs);
  for (int generation = 0; job && generation < kGenerations; ++generation) {
    const auto parent = job_of(job->ppid, procfs);
    if (!parent) {
      return false;
    }
    if (in_foreground(*job) && parent->session == job->session && parent->group != job->group) {
      return true;
    }
    const auto comm = procfs.comm(job->ppid);
    if (!comm || std::find(kPassOn.begin(), kPassOn.end(), *comm) == kPassOn.end()) {
      return false;
    }
    job = parent;  // it does as its child does: what is the child to it, it is to the shell
  }
  return false;
}

}  // namespace mapwatch::proc
