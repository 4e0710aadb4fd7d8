#include "base/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>

namespace mapwatch {

namespace {

constexpr int kBacklog = 64;
constexpr std::string_view kUnix = "unix:";

std::optional<in_port_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return htons(port);
}

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un out = {};
  out.sun_family = AF_UNIX;
  path.copy(out.sun_path, sizeof(out.sun_path) - 1);
  return out;
}

/// Takes a socket file away that nobody listens at.
Result<void> clear_socket_file(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Result<void>() : fail_errno(path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return fail(ErrorKind::kFailed, "cannot listen at " + path + ": it is there and is no socket",
                "name another path, or move that file away");
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_un address = unix_address(path);
  if (!probe) {
    return fail_errno("socket");
  }
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno != ECONNREFUSED) {
    return fail(ErrorKind::kFailed, "cannot listen at " + path + ": another process does",
                "end that process, or name another path");
  }
  return ::unlink(path.c_str()) == 0 ? Result<void>() : fail_errno("cannot replace " + path);
}

}  // namespace

bool ListenAddress::local() const {
  if (!unix_path.empty()) {
    return true;
  }
  if (tcp.ss_family == AF_INET) {
    sockaddr_in four = {};
    std::memcpy(&four, &tcp, sizeof(four));
    return (ntohl(four.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
  }
  sockaddr_in6 six = {};
  std::memcpy(&six, &tcp, sizeof(six));
  return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr) ||
         (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr) && six.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::kUsage, "\"" + std::string(text) + "\" is no address to listen at: " + std::string(why),
                "try 127.0.0.1:9750, [::1]:9750 or unix:/run/mapwatch/metrics.sock");
  };
  ListenAddress out;
  out.text = text;
  if (text.starts_with(kUnix)) {
    out.unix_path = text.substr(kUnix.size());
    if (!out.unix_path.starts_with('/')) {
      return refuse("the path of a socket is absolute");
    }
    if (out.unix_path.size() >= sizeof(sockaddr_un::sun_path) || out.unix_path.find('\0') != std::string::npos) {
      return refuse("the path of a socket has at most 107 characters");  // unix(7)
    }
    return out;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return refuse("it is ADDRESS:PORT");
  }
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) {
    return refuse("the port is a number up to 65535");
  }
  std::string host(text.substr(0, colon));
  if (host == "localhost") {
    host = "127.0.0.1";
  }
  sockaddr_in four = {};
  sockaddr_in6 six = {};
  if (::inet_pton(AF_INET, host.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = *port;
    out.tcp_size = sizeof(four);
    std::memcpy(&out.tcp, &four, sizeof(four));
    return out;
  }
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets && ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = *port;
    out.tcp_size = sizeof(six);
    std::memcpy(&out.tcp, &six, sizeof(six));
    return out;
  }
  return refuse("names of hosts are not looked up; give a number, IPv6 in brackets");
}

Result<UniqueFd> listen_at(const ListenAddress& address) {
  const bool local_file = !address.unix_path.empty();
  const int family = local_file ? AF_UNIX : address.tcp.ss_family;
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return fail_errno("socket");
  }
  int bound = 0;
  if (local_file) {
    TRY(clear_socket_file(address.unix_path));
    const sockaddr_un file = unix_address(address.unix_path);
    // The file gets the mode that the socket has when it is bound (net/unix/af_unix.c, unix_bind_bsd).
    bound = ::fchmod(fd.get(), 0600);
    bound = bound != 0 ? bound : ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&file), sizeof(file));
  } else {
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (family == AF_INET6) {
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.tcp), address.tcp_size);
  }
  if (bound != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return fail_errno("cannot listen at " + address.text, errno,
                      errno == EADDRINUSE ? "another process does; name another port" : "");
  }
  return fd;
}

std::string bound_to(int fd) {
  sockaddr_storage at = {};
  socklen_t size = sizeof(at);
  char text[INET6_ADDRSTRLEN] = "";
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    return "";
  }
  if (at.ss_family == AF_INET) {
    sockaddr_in four = {};
    std::memcpy(&four, &at, sizeof(four));
    ::inet_ntop(AF_INET, &four.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(four.sin_port));
  }
  if (at.ss_family == AF_INET6) {
    sockaddr_in6 six = {};
    std::memcpy(&six, &at, sizeof(six));
    ::inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof(text));
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(six.sin6_port));
  }
  return "";
}

}  // namespace mapwatch
