// Who may ask for metrics, and how: what a web configuration file and the files that it names say.
#pragma once

#include <memory>
#include <string>

#include "base/listen_address.h"
#include "base/result.h"
#include "ops/tls.h"
#include "ops/web_config.h"

namespace mapwatch::ops {

struct Access {
  std::shared_ptr<const Tls> tls;      ///< null: plain HTTP
  bool certificates_required = false;  ///< of clients
  Users users;                         ///< empty: no password is asked for
};

/// Reads the file at `path`; an empty path is plain HTTP for everybody who can connect. kUsage: as parse_web_config()
/// and Tls::load(), and for a file with hashes that others may read.
Result<Access> read_access(const std::string& path);

/// kUsage: who can connect to this address may not be served that way. Other hosts need TLS, for what goes over the
/// wire, and a password or a certificate, for who they are.
Result<void> check_access(const ListenAddress& address, const Access& access);

}  // namespace mapwatch::ops
