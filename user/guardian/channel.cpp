#include "guardian/channel.h"

#include <sys/socket.h>

#include <cstring>

namespace mapwatch::guardian {
namespace {

constexpr std::size_t kMaxText = 8192;  // twice PATH_MAX
constexpr std::size_t kMaxFds = 3;

struct Fixed {
  std::uint32_t kind;
  std::uint32_t tgid;
  std::uint64_t value;
  std::uint64_t time_ns;
};

union Control {
  cmsghdr align;
  char bytes[CMSG_SPACE(kMaxFds * sizeof(int))];
};

}  // namespace

Result<std::pair<Channel, Channel>> Channel::pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return fail_errno("socketpair");
  }
  return std::pair(Channel(UniqueFd(ends[0])), Channel(UniqueFd(ends[1])));
}

Result<void> Channel::send(const Message& message, const std::vector<int>& fds) {
  if (message.text.size() > kMaxText || fds.size() > kMaxFds) {
    return fail(ErrorKind::kFailed, "a message to or from the guardian is too long");
  }
  Fixed fixed = {static_cast<std::uint32_t>(message.kind), message.tgid, message.value, message.time_ns};
  iovec parts[2] = {{&fixed, sizeof(fixed)}, {const_cast<char*>(message.text.data()), message.text.size()}};
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  Control control = {};
  if (!fds.empty()) {
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  }
  while (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) {
      return fail_errno("cannot send to the other side of the guardian's socket");
    }
  }
  return {};
}

Result<Received> Channel::receive(Message& message) {
  Fixed fixed = {};
  message.text.resize(kMaxText);
  iovec parts[2] = {{&fixed, sizeof(fixed)}, {message.text.data(), message.text.size()}};
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  Control control = {};
  header.msg_control = control.bytes;
  header.msg_controllen = sizeof(control.bytes);
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  message.fds.clear();
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    return Received::kNothing;
  }
  if (got == 0 || (got < 0 && errno == ECONNRESET)) {
    return Received::kClosed;
  }
  if (got < 0) {
    return fail_errno("cannot receive from the guardian's socket");
  }
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
      const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
        message.fds.emplace_back(fd);
      }
    }
  }
  const auto size = static_cast<std::size_t>(got);
  if (size < sizeof(fixed) || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return fail(ErrorKind::kMalformed, "a message on the guardian's socket is cut off");
  }
  message.kind = static_cast<Kind>(fixed.kind);
  message.tgid = fixed.tgid;
  message.value = fixed.value;
  message.time_ns = fixed.time_ns;
  message.text.resize(size - sizeof(fixed));
  return Received::kMessage;
}

}  // namespace mapwatch::guardian
