#include "guardian/guardian.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

namespace mapwatch::guardian {
namespace {

constexpr int kAnswerMs = 5000;  // it is idle: an answer takes microseconds

/// posix_spawn's two sets of wishes, freed at scope end.
struct SpawnPlan {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  SpawnPlan() {
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&actions);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
};

/// 0, or the first error.
int prepare(SpawnPlan& plan, int socket) {
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  sigdelset(&all, SIGKILL);
  sigdelset(&all, SIGSTOP);
  int error =
      ::posix_spawnattr_setflags(&plan.attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  error = error != 0 ? error : ::posix_spawnattr_setsigmask(&plan.attributes, &none);
  error = error != 0 ? error : ::posix_spawnattr_setsigdefault(&plan.attributes, &all);
  // Not mapwatch's own stdout and stderr: whoever reads them waits for their end.
  error = error != 0 ? error : ::posix_spawn_file_actions_adddup2(&plan.actions, socket, kSocketFd);
  for (int fd = 0; fd < kSocketFd; ++fd) {
    error = error != 0 ? error : ::posix_spawn_file_actions_addopen(&plan.actions, fd, "/dev/null", O_RDWR, 0);
  }
  return error != 0 ? error : ::posix_spawn_file_actions_addclosefrom_np(&plan.actions, kSocketFd + 1);
}

}  // namespace

Result<Guardian> Guardian::start() {
  auto ends = TRY(Channel::pair());
  SpawnPlan plan;
  if (const int error = prepare(plan, ends.second.fd()); error != 0) {
    return fail_errno("cannot prepare the guardian process", error);
  }
  char name[] = "mapwatch-guardian";
  char* argv[] = {name, nullptr};
  char* env[] = {nullptr};
  pid_t pid = 0;
  if (const int error = ::posix_spawn(&pid, "/proc/self/exe", &plan.actions, &plan.attributes, argv, env); error != 0) {
    return fail_errno("cannot start the guardian process", error);
  }
  return Guardian(std::move(ends.first), pid);
}

Result<void> Guardian::connect(int ring_fd, int gate_fd, std::uint64_t max_freeze_ns, const std::string& procfs_root) {
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self) {
    return fail_errno("cannot open a pidfd of mapwatch itself");
  }
  Message hello;
  hello.kind = Kind::kHello;
  hello.value = max_freeze_ns;
  hello.text = procfs_root;
  TRY(tell(hello, {self.get(), ring_fd, gate_fd}));
  Message ready = TRY(answer(Kind::kReady, 0));
  remark_ = std::move(ready.text);
  return {};
}

Result<void> Guardian::watch(std::uint32_t tgid, int pidfd, const std::string& held_file) {
  deeds_.erase(tgid);
  Message message;
  message.kind = Kind::kWatch;
  message.tgid = tgid;
  message.text = held_file;
  TRY(tell(message, {pidfd}));
  const Message reply = TRY(answer(Kind::kWatching, tgid));
  if (reply.value != 1) {
    return fail(ErrorKind::kFailed, "the guardian cannot watch process " + std::to_string(tgid) + ": " + reply.text);
  }
  return {};
}

void Guardian::released(std::uint32_t tgid) {
  Message message;
  message.kind = Kind::kReleased;
  message.tgid = tgid;
  (void)tell(message);  // a dead guardian is noticed by alive()
}

void Guardian::forget(std::uint32_t tgid) {
  deeds_.erase(tgid);
  Message message;
  message.kind = Kind::kForget;
  message.tgid = tgid;
  (void)tell(message);
}

Result<void> Guardian::tell(const Message& message, const std::vector<int>& fds) {
  auto sent = channel_.send(message, fds);
  // A guardian whose queue is full has not run for long: nobody can rely on it.
  dead_ = dead_ || !sent;
  return sent;
}

Result<Received> Guardian::take(Message& message) {
  const auto received = channel_.receive(message);
  if (!received || *received == Received::kClosed) {
    dead_ = true;
    return received;
  }
  if (*received == Received::kMessage && message.kind == Kind::kLetGo) {
    deeds_[message.tgid] = {message.time_ns, static_cast<LetGo>(message.value)};
  }
  return received;
}

bool Guardian::alive() {
  Message message;
  while (!dead_) {
    const auto received = take(message);
    if (received && *received == Received::kNothing) {
      return true;
    }
  }
  ::waitpid(pid_, nullptr, WNOHANG);  // no zombie; `run` may have reaped it already
  return false;
}

std::optional<Guardian::Deed> Guardian::deed(std::uint32_t tgid) const {
  const auto found = deeds_.find(tgid);
  return found == deeds_.end() ? std::nullopt : std::optional<Deed>(found->second);
}

Result<Message> Guardian::answer(Kind kind, std::uint32_t tgid) {
  Message message;
  for (;;) {
    const Received received = TRY(take(message));
    if (received == Received::kClosed) {
      return fail(ErrorKind::kFailed, "the guardian process has ended");
    }
    if (received == Received::kMessage) {
      if (message.kind == kind && message.tgid == tgid) {
        return message;
      }
      continue;
    }
    pollfd wait = {channel_.fd(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, kAnswerMs);
    if (ready == 0) {
      dead_ = true;
      return fail(ErrorKind::kFailed, "the guardian process does not answer");
    }
    if (ready < 0 && errno != EINTR) {
      return fail_errno("poll");
    }
  }
}

}  // namespace mapwatch::guardian
