// TLS for what mapwatch serves, by GnuTLS, which libmicrohttpd brings.
#pragma once

#include <memory>

#include "base/result.h"
#include "ops/web_config.h"

namespace mapwatch::ops {

/// A certificate with its key, and whom to trust, as they were when they were read.
class Tls {
 public:
  /// Reads the files. Errors: they cannot be read, are no PEM, do not belong together, or others may read the key.
  static Result<std::shared_ptr<const Tls>> load(const TlsFiles& files);
  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  /// Makes a server's gnutls_session_t, before its handshake, use these. They must outlive it. False: it must not be
  /// served.
  bool secure(void* session) const;

 private:
  struct Impl;
  explicit Tls(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mapwatch::ops
