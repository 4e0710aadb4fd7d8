#include "base/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/escape.h"

namespace mapwatch {
namespace {

constexpr std::size_t kMostPasswd = 1 << 16;
constexpr int kMostGroups = 1024;

/// What the child needs, made before it is there.
struct Plan {
  const Program& program;
  char* const* argv;
  char* const* environment;
  int failed;  ///< where it tells why it could not
};

/// The C library's calls of these names would ask all threads that it knows of to do the same.
bool become_user(const Credentials& user) {
  return ::syscall(SYS_setgroups, user.groups.size(), user.groups.data()) == 0 &&
         ::syscall(SYS_setresgid, user.gid, user.gid, user.gid) == 0 &&
         ::syscall(SYS_setresuid, user.uid, user.uid, user.uid) == 0;
}

bool take_streams(const Program& program) {
  const int null = ::fcntl(::open("/dev/null", O_RDWR | O_CLOEXEC), F_DUPFD_CLOEXEC, 3);
  const auto take = [null](int from, int to) { return ::dup2(from < 0 ? null : from, to) == to; };
  return null >= 0 && take(program.in, STDIN_FILENO) && take(program.out, STDOUT_FILENO) &&
         take(program.err, STDERR_FILENO) && ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) {
    ::signal(signal, SIG_DFL);  // SIGKILL and SIGSTOP refuse, and are so anyway
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// System calls only: this is a copy of one thread of a process with many.
[[noreturn]] void become(const Plan& plan) {
  const Program& program = plan.program;
  reset_signals();
  const bool ready = (!program.own_session || (::setsid() >= 0 && ::chdir("/") == 0)) && take_streams(program) &&
                     (!program.user || become_user(*program.user)) &&
                     ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
                     ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;  // another user's identity would take it back
  if (ready) {
    ::execve(plan.argv[0], plan.argv, plan.environment);
  }
  const int why = errno;
  (void)!::write(plan.failed, &why, sizeof(why));
  ::_exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) {
    out.push_back(word.data());
  }
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::mutex& descriptor_copies() {
  static std::mutex mutex;
  return mutex;
}

Result<Pipe> Pipe::create() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return fail_errno("pipe");
  }
  const UniqueFd low_reader(ends[0]);
  const UniqueFd low_writer(ends[1]);
  Pipe pipe{UniqueFd(::fcntl(ends[0], F_DUPFD_CLOEXEC, 3)), UniqueFd(::fcntl(ends[1], F_DUPFD_CLOEXEC, 3))};
  if (!pipe.reader || !pipe.writer) {
    return fail_errno("pipe");
  }
  return pipe;
}

Result<Credentials> find_user(const std::string& user) {
  uid_t number = 0;
  const auto [end, error] = std::from_chars(user.data(), user.data() + user.size(), number);
  const bool is_number = error == std::errc() && end == user.data() + user.size();
  std::vector<char> buffer(kMostPasswd);
  passwd entry = {};
  passwd* found = nullptr;
  int failed = ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr && is_number) {
    failed = ::getpwuid_r(number, &entry, buffer.data(), buffer.size(), &found);
  }
  if (found == nullptr) {
    return failed == 0 ? fail(ErrorKind::kUsage, "there is no user " + escape(user), "getent passwd lists them")
                       : fail_errno("user " + escape(user), failed);
  }
  Credentials out{entry.pw_uid, entry.pw_gid, std::vector<gid_t>(kMostGroups), entry.pw_name, entry.pw_dir};
  int count = kMostGroups;
  if (::getgrouplist(entry.pw_name, entry.pw_gid, out.groups.data(), &count) < 0) {
    return fail(ErrorKind::kFailed, "user " + escape(user) + " is in too many groups");
  }
  out.groups.resize(static_cast<std::size_t>(count));
  return out;
}

Result<Spawned> spawn(const Program& program) {
  Pipe failed = TRY(Pipe::create());
  std::vector<std::string> words = program.command;
  std::vector<std::string> variables = program.environment;
  const std::vector<char*> argv = pointers(words);
  const std::vector<char*> environment = pointers(variables);
  const Plan plan{program, argv.data(), environment.data(), failed.writer.get()};
  int handle = -1;
  int why = 0;
  Spawned child;
  {
    const std::lock_guard lock(descriptor_copies());
    // No exit signal: it is nobody's business but ours that it ends.
    child.pid = static_cast<pid_t>(::syscall(SYS_clone, CLONE_PIDFD, nullptr, &handle, nullptr, 0UL));
    if (child.pid == 0) {
      become(plan);
    }
    if (child.pid < 0) {
      return fail_errno("cannot start " + escape(program.command[0]));
    }
    failed.writer.reset();
    while (::read(failed.reader.get(), &why, sizeof(why)) < 0 && errno == EINTR) {  // until exec has closed it
    }
  }
  child.handle.reset(handle);
  if (why != 0) {
    ::waitpid(child.pid, nullptr, __WALL);
    return fail_errno("cannot run " + escape(program.command[0]), why);
  }
  return child;
}

void reap(const Spawned& child, int most_ms) {
  pollfd over = {child.handle.get(), POLLIN, 0};
  if (::poll(&over, 1, most_ms) > 0) {
    ::waitpid(child.pid, nullptr, __WALL);
  }
}

}  // namespace mapwatch
