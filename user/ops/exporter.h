// Serves what the event loop handed over last, over HTTP, on a thread of its own: whoever asks, and however slowly, the
// watching is not kept waiting (docs/daemon.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/listen_address.h"
#include "base/result.h"
#include "ops/access.h"

namespace mapwatch::ops {

/// /metrics, /healthz and /readyz, for GET and HEAD; one request a connection.
class Exporter {
 public:
  struct Limits {
    std::size_t connections = 32;                  ///< at once, at most 256; one more ends the oldest
    std::uint64_t connection_ns = 10'000'000'000;  ///< from accept to the end; looked at when another one comes
    unsigned silent_s = 5;                         ///< after which a client that says nothing is left
    std::size_t request_bytes = 16384;             ///< its headers
    std::uint64_t stale_ns = 30'000'000'000;       ///< /healthz fails when nothing was handed over for so long
  };

  /// Listens from now on. `clock` must outlive it. Errors: check_access(), listen_at().
  static Result<std::unique_ptr<Exporter>> start(const ListenAddress& address, const Clock& clock, Access access,
                                                 Limits limits);
  /// Ends all connections.
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  /// kUsage: check_access(), or it would turn TLS on or off, for which this is to be started anew.
  Result<void> may_use(const Access& access) const;
  /// For connections from now on; may_use() it. Never waits for a client.
  void use(Access access);

  /// The text of /metrics from now on. Never waits for a client.
  void publish(const std::string& text);
  /// Whether /readyz succeeds; not at first.
  void set_ready(bool ready);

  /// "http://127.0.0.1:9750", "https://[::]:9750", "unix:/run/mapwatch/metrics.sock".
  const std::string& url() const;
  struct Counts {
    std::uint64_t requests = 0;
    std::uint64_t late = 0;     ///< connections that were ended for their time
    std::uint64_t crowded = 0;  ///< for room
    std::uint64_t refused = 0;  ///< requests whose password was wrong, missing or not looked at
  };
  Counts counts() const;

 private:
  struct Impl;
  explicit Exporter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mapwatch::ops
