#include "base/run_program.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/escape.h"
#include "base/unique_fd.h"

namespace mapwatch {
namespace {

constexpr int kKilledWithinMs = 1000;  // of one that sits in a dead disk nobody waits for the end

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;  ///< not one of 0, 1, 2, which are the child's to fill

  static Result<Pipe> create() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      return fail_errno("pipe");
    }
    Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
    pipe.writer.reset(::fcntl(ends[1], F_DUPFD_CLOEXEC, 3));
    return pipe;
  }
};

/// System calls only: this is a copy of one thread of a process with many.
[[noreturn]] void become(char* const* argv, char* const* environment, int out, int failed) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  if (::dup2(null, STDIN_FILENO) < 0 || ::dup2(out, STDOUT_FILENO) < 0 || ::dup2(null, STDERR_FILENO) < 0 ||
      ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::signal(SIGPIPE, SIG_DFL) == SIG_ERR ||
      ::sigprocmask(SIG_SETMASK, &none, nullptr) != 0 || ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    ::_exit(127);
  }
  ::execve(argv[0], argv, environment);
  const int why = errno;
  (void)!::write(failed, &why, sizeof(why));
  ::_exit(127);
}

}  // namespace

std::mutex& descriptor_copies() {
  static std::mutex mutex;
  return mutex;
}

Result<ProgramOutput> run_program(const std::vector<std::string>& command, std::size_t limit,
                                  std::chrono::milliseconds bound) {
  Pipe out = TRY(Pipe::create());
  Pipe failed = TRY(Pipe::create());
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  std::string variables[] = {"PATH=/usr/bin:/bin", "LC_ALL=C"};
  char* const environment[] = {variables[0].data(), variables[1].data(), nullptr};
  int handle = -1;
  pid_t child = -1;
  int why = 0;
  {
    const std::lock_guard lock(descriptor_copies());
    // No exit signal: it is nobody's business but ours that it ends.
    child = static_cast<pid_t>(::syscall(SYS_clone, CLONE_PIDFD, nullptr, &handle, nullptr, 0UL));
    if (child == 0) {
      become(argv.data(), environment, out.writer.get(), failed.writer.get());
    }
    if (child < 0) {
      return fail_errno("cannot start " + escape(command[0]));
    }
    failed.writer.reset();
    while (::read(failed.reader.get(), &why, sizeof(why)) < 0 && errno == EINTR) {  // until exec has closed it
    }
  }
  const UniqueFd pidfd(handle);
  out.writer.reset();
  ProgramOutput output;
  const SystemClock clock;
  const std::uint64_t end = clock.monotonic_ns() + static_cast<std::uint64_t>(bound.count()) * 1'000'000;
  for (;;) {
    const std::uint64_t now = clock.monotonic_ns();
    pollfd ready = {out.reader.get(), POLLIN, 0};
    if (output.text.size() >= limit || now >= end ||
        ::poll(&ready, 1, static_cast<int>((end - now) / 1'000'000 + 1)) <= 0) {
      output.cut = true;
      break;
    }
    char piece[65536];
    const ssize_t got = ::read(out.reader.get(), piece, std::min(sizeof(piece), limit - output.text.size()));
    if (got <= 0) {
      break;
    }
    output.text.append(piece, static_cast<std::size_t>(got));
  }
  if (output.cut) {
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  }
  pollfd over = {pidfd.get(), POLLIN, 0};
  if (::poll(&over, 1, kKilledWithinMs) > 0) {
    ::waitpid(child, nullptr, __WALL);  // `run` waits for any child and may have had this one
  }
  return why == 0 ? Result<ProgramOutput>(std::move(output)) : fail_errno("cannot run " + escape(command[0]), why);
}

}  // namespace mapwatch
