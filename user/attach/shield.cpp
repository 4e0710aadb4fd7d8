#include "attach/shield.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

#include "base/spawn.h"

namespace mapwatch::attach {

namespace {

/// fork without the handlers of other libraries and without SIGCHLD: the child makes system calls only, then exits.
pid_t fork_plainly() { return static_cast<pid_t>(::syscall(SYS_clone, 0UL, nullptr, nullptr, nullptr, 0UL)); }

/// For the child: what it is to close, made by the parent because a child of many threads must not allocate.
class Others {
 public:
  explicit Others(std::vector<int> kept) : kept_(std::move(kept)) { std::sort(kept_.begin(), kept_.end()); }
  /// Every descriptor but those that are kept. None of them is a last copy.
  void close() const {
    unsigned next = 0;
    for (const int fd : kept_) {
      if (fd < 0) {
        continue;
      }
      if (static_cast<unsigned>(fd) > next) {
        ::syscall(SYS_close_range, next, static_cast<unsigned>(fd) - 1, 0U);
      }
      next = std::max(next, static_cast<unsigned>(fd) + 1);
    }
    ::syscall(SYS_close_range, next, ~0U, 0U);
  }

 private:
  std::vector<int> kept_;
};

/// The descriptor that a path goes by: /proc/self is the child's.
int descriptor_in(const char* path) {
  int fd = -1;
  return path != nullptr && std::sscanf(path, "/proc/self/fd/%d", &fd) == 1 ? fd : -1;
}

/// Until the other end is closed, by exit too, or has something.
void wait_for_end(int fd) {
  char byte = 0;
  while (::read(fd, &byte, 1) < 0 && errno == EINTR) {
  }
}

struct Pipe {
  static std::optional<Pipe> create() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      return std::nullopt;
    }
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
  UniqueFd from;
  UniqueFd to;
};

/// `run` waits for any child and may have this one already: then there is nothing left to wait for.
void wait_for(pid_t child) {
  while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

/// One message: an errno, and with 0 a descriptor.
class Parcel {
 public:
  Parcel() {
    part_ = {&error_, sizeof(error_)};
    message_.msg_iov = &part_;
    message_.msg_iovlen = 1;
    message_.msg_control = control_;
    message_.msg_controllen = sizeof(control_);
  }
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;

  bool send(int socket, int error, int fd) {
    error_ = error;
    if (error != 0) {
      message_.msg_controllen = 0;
    } else {
      cmsghdr* head = CMSG_FIRSTHDR(&message_);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(sizeof(fd));
      std::memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    }
    return ::sendmsg(socket, &message_, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(error_));
  }

  /// The descriptor, or nothing with errno set.
  UniqueFd receive(int socket) {
    ssize_t got = 0;
    do {
      got = ::recvmsg(socket, &message_, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(sizeof(error_))) {
      errno = got < 0 ? errno : EINTR;  // the child was killed before it had an answer
      return UniqueFd();
    }
    const cmsghdr* head = CMSG_FIRSTHDR(&message_);
    if (error_ != 0 || head == nullptr || head->cmsg_type != SCM_RIGHTS) {
      errno = error_ != 0 ? error_ : EMFILE;
      return UniqueFd();
    }
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    return UniqueFd(fd);
  }

 private:
  int error_ = 0;
  iovec part_{};
  msghdr message_{};
  alignas(cmsghdr) char control_[CMSG_SPACE(sizeof(int))] = {};
};

UniqueFd create_here(int program, const bpf_link_create_opts& options) {
  const int fd = bpf_link_create(program, 0, BPF_TRACE_UPROBE_MULTI, &options);
  if (fd < 0) {
    errno = -fd;
  }
  return UniqueFd(fd);
}

}  // namespace

LastHolder::LastHolder() : alone_(descriptor_copies()) {
  auto end = Pipe::create();
  if (!end) {
    return;
  }
  child_ = fork_plainly();
  if (child_ == 0) {
    ::close(end->to.get());
    wait_for_end(end->from.get());
    ::_exit(0);
  }
  let_go_ = std::move(end->to);
}

LastHolder::LastHolder(std::span<const int> held) {
  auto end = Pipe::create();
  auto ready = Pipe::create();
  if (!end || !ready) {
    return;
  }
  std::vector<int> kept(held.begin(), held.end());
  kept.push_back(end->from.get());
  kept.push_back(ready->to.get());
  const Others others(std::move(kept));
  const std::lock_guard lock(descriptor_copies());
  child_ = fork_plainly();
  if (child_ == 0) {
    others.close();
    ::close(ready->to.get());
    wait_for_end(end->from.get());
    ::_exit(0);
  }
  ready->to.reset();
  wait_for_end(ready->from.get());
  let_go_ = std::move(end->to);
}

LastHolder::~LastHolder() {
  if (alone_) {
    let_go_.reset();
  } else {
    const std::lock_guard lock(descriptor_copies());
    let_go_.reset();
  }
  if (child_ > 0) {
    wait_for(child_);
  }
}

Result<UniqueFd> create_multi_link(int program, const bpf_link_create_opts& options) {
  UniqueFd link;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail_errno("socketpair");
  }
  const UniqueFd own(ends[0]);
  UniqueFd other(ends[1]);
  auto ready = Pipe::create();
  if (!ready) {
    return fail_errno("pipe");
  }
  const Others others({program, ends[1], ready->to.get(), descriptor_in(options.uprobe_multi.path)});
  std::unique_lock lock(descriptor_copies());
  const pid_t child = fork_plainly();
  if (child == 0) {
    others.close();
    ::close(ready->to.get());
    const UniqueFd made = create_here(program, options);
    Parcel parcel;
    // When nobody is there to receive it, exit lets go of it.
    ::_exit(parcel.send(ends[1], made ? 0 : errno, made.get()) ? 0 : 1);
  }
  if (child < 0) {
    lock.unlock();
    link = create_here(program, options);
  } else {
    ready->to.reset();
    wait_for_end(ready->from.get());
    lock.unlock();
    other.reset();
    Parcel parcel;
    link = parcel.receive(own.get());
    const int error = errno;
    wait_for(child);
    errno = error;
  }
  if (!link) {
    return fail_errno("uprobe_multi link");
  }
  return link;
}

}  // namespace mapwatch::attach
