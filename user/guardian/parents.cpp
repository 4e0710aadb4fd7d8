#include "guardian/parents.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>

#include "base/unique_fd.h"

namespace mapwatch::guardian {
namespace {

constexpr int kGenerations = 4;  // sudo with a terminal of its own is two processes

std::optional<std::uint64_t> take_number(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const int base = text.starts_with("0x") ? 16 : 10;
  text.remove_prefix(base == 16 ? 2 : 0);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool has_stopped_itself(int pid, const proc::ProcFs& procfs) {
  const auto status = procfs.status(pid);
  if (!status || status->state != 'T') {
    return false;
  }
  const auto syscall = proc::read_file(procfs.path(pid, "syscall"), 4096);
  return syscall && stops_itself(*syscall, status->ns_pid());
}

}  // namespace

bool stops_itself(std::string_view syscall, int own_pid) {
  std::array<std::uint64_t, 4> words = {};  // the number and three arguments
  for (std::uint64_t& word : words) {
    const auto value = take_number(syscall);
    if (!value) {
      return false;  // "running", or "-1 SP PC": in no system call
    }
    word = *value;
  }
  const auto number = static_cast<long>(words[0]);
  const bool one_argument_more = number == SYS_tgkill;
  if (number != SYS_kill && number != SYS_tkill && number != SYS_tgkill) {
    return false;
  }
  const auto signal = static_cast<int>(words[one_argument_more ? 3 : 2]);
  return static_cast<int>(words[1]) == own_pid &&
         (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU);
}

std::vector<int> wake_parents(int pid, const proc::ProcFs& procfs) {
  std::vector<int> woken;
  for (int generation = 0; generation < kGenerations; ++generation) {
    const auto child = procfs.stat(pid);
    if (!child || child->ppid <= 1) {
      break;
    }
    pid = child->ppid;
    if (!has_stopped_itself(pid, procfs)) {
      continue;
    }
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    // Looked at again with the pidfd open: from here on it is that process or none.
    if (pidfd && has_stopped_itself(pid, procfs) &&
        ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGCONT, nullptr, 0) == 0) {
      woken.push_back(pid);
    }
  }
  return woken;
}

}  // namespace mapwatch::guardian
