// Where a server listens, as people write it.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mapwatch {

/// Hint of an error: what mapwatch serves is not for other hosts as it is.
inline constexpr const char* kListenLocally =
    "listen at 127.0.0.1, [::1] or unix:PATH, or give --web-config-file FILE with tls_server_config and "
    "basic_auth_users";

struct ListenAddress {
  std::string text;       ///< as it was given
  std::string unix_path;  ///< empty: TCP
  sockaddr_storage tcp = {};
  socklen_t tcp_size = 0;

  /// Nobody on another host can connect.
  bool local() const;
};

/// "127.0.0.1:9750", "[::1]:9750", "localhost:9750", "unix:/run/mapwatch/metrics.sock". Port 0: any that is free.
/// Names of hosts are not looked up. Errors: kUsage.
Result<ListenAddress> parse_listen_address(std::string_view text);

/// A socket that listens there, close-on-exec and non-blocking. A socket file is made with mode 0600; one that a dead
/// server left is replaced, one that is in use is an error.
Result<UniqueFd> listen_at(const ListenAddress& address);

/// What a TCP socket is bound to, "127.0.0.1:41234"; empty for others.
std::string bound_to(int fd);

}  // namespace mapwatch
