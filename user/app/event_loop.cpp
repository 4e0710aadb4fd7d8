#include "app/event_loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace mapwatch::app {

Result<EventLoop> EventLoop::create(const std::vector<int>& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
  }
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) {
    return fail_errno("cannot block signals");
  }
  UniqueFd signal_fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal_fd) {
    return fail_errno("signalfd");
  }
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) {
    return fail_errno("epoll_create1");
  }
  EventLoop loop(std::move(epoll), std::move(signal_fd));
  TRY(loop.watch(loop.signals_.get()));
  return loop;
}

Result<void> EventLoop::watch(int fd) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0 && errno != EEXIST) {
    return fail_errno("epoll_ctl");
  }
  return {};
}

void EventLoop::unwatch(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

Result<EventLoop::Woken> EventLoop::wait(int timeout_ms) {
  epoll_event events[16];
  const int count = ::epoll_wait(epoll_.get(), events, 16, timeout_ms);
  if (count < 0 && errno != EINTR) {
    return fail_errno("epoll_wait");
  }
  Woken woken;
  signalfd_siginfo info = {};
  while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    woken.signals.push_back(info);
  }
  return woken;
}

}  // namespace mapwatch::app
