#include "ops/access.h"

#include <fmt/format.h>

#include "base/guarded_file.h"

namespace mapwatch::ops {
namespace {

constexpr std::size_t kMostFile = std::size_t{1} << 18;

Result<Access> read(const std::string& path) {
  const GuardedFile file = TRY(read_guarded_file(path, kMostFile));
  WebConfig config = TRY(parse_web_config(file.text, path));
  if (!config.users.empty() && file.others_read) {
    return others_read_it(path);
  }
  Access access;
  if (config.tls) {
    access.tls = TRY(Tls::load(*config.tls));
    access.certificates_required = config.tls->client == ClientCertificate::kRequired;
  }
  access.users = std::move(config.users);
  return access;
}

}  // namespace

Result<Access> read_access(const std::string& path) {
  return path.empty() ? Access{} : read(path).map_error([](Error error) {
    error.kind = ErrorKind::kUsage;
    return error;
  });
}

Result<void> check_access(const ListenAddress& address, const Access& access) {
  if (address.local()) {
    return {};
  }
  const std::string open = fmt::format("metrics are not served at {}: it is open to other hosts", address.text);
  if (access.tls == nullptr) {
    return fail(ErrorKind::kUsage, open + ", and there is no TLS", kListenLocally);
  }
  if (access.users.empty() && !access.certificates_required) {
    return fail(ErrorKind::kUsage, open + ", and everybody there could ask",
                "in the file of --web-config-file: basic_auth_users, or client_auth_type: RequireAndVerifyClientCert");
  }
  return {};
}

}  // namespace mapwatch::ops
