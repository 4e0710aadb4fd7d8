// The web configuration file of Prometheus' exporters (exporter-toolkit, docs/web-configuration.md): who may ask, and
// how.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mapwatch::ops {

/// Names, and the bcrypt hashes of their passwords as "$2b$COST$...".
using Users = std::map<std::string, std::string, std::less<>>;

/// Whether a client shows a certificate. One that is shown is verified.
enum class ClientCertificate { kNone, kIfGiven, kRequired };

/// tls_server_config. The files are PEM.
struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string client_ca;  ///< empty: kNone
  ClientCertificate client = ClientCertificate::kNone;
  bool only_tls13 = false;  ///< else TLS 1.2, too
};

struct WebConfig {
  std::optional<TlsFiles> tls;  ///< none: plain HTTP
  Users users;                  ///< empty: no password is asked for
};

/// A file of that name; paths in it are relative to its folder. kUsage, with file and line: what is no YAML, unknown,
/// missing or wrong, and what the format has and mapwatch does not do. No error holds a hash.
Result<WebConfig> parse_web_config(std::string_view text, const std::string& name);

}  // namespace mapwatch::ops
