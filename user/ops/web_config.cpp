#include "ops/web_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "base/escape.h"
#include "ops/yaml_reader.h"

namespace mapwatch::ops {
namespace {

constexpr std::size_t kMostUsers = 100;
constexpr std::size_t kMostName = 256;
/// Of the four that Go's crypto/tls knows, the two that are not broken (RFC 8996).
constexpr std::string_view kTls12 = "TLS12";
constexpr std::string_view kTls13 = "TLS13";

/// "$2b$12$", 22 digits of salt, 31 of the hash (crypt(5)).
constexpr std::size_t kBcryptSize = 60;
constexpr std::size_t kBcryptHead = 7;
/// A check of cost 14 takes a second, and others wait for it.
constexpr int kLeastCost = 4;
constexpr int kMostCost = 14;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// nullopt: it is no bcrypt hash that mapwatch checks. 2a, 2b and 2y are one function; for crypt(3) alone 2a is another
/// one for some passwords that are not ASCII (crypt(5)).
std::optional<std::string> as_2b(std::string_view hash) {
  const bool whole = hash.size() == kBcryptSize && hash.starts_with("$2") &&
                     std::string_view("aby").find(hash[2]) != std::string_view::npos && hash[3] == '$' &&
                     is_digit(hash[4]) && is_digit(hash[5]) && hash[6] == '$' &&
                     std::ranges::all_of(hash.substr(kBcryptHead),
                                         [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '/'; });
  if (!whole) {
    return std::nullopt;
  }
  const int cost = (hash[4] - '0') * 10 + (hash[5] - '0');
  if (cost < kLeastCost || cost > kMostCost) {
    return std::nullopt;
  }
  return "$2b$" + std::string(hash.substr(4));
}

/// A name that Basic credentials can carry (RFC 7617).
bool is_user(std::string_view name) {
  return !name.empty() && name.size() <= kMostName &&
         std::ranges::none_of(name, [](unsigned char c) { return c == ':' || std::iscntrl(c) != 0; });
}

class Reader : YamlReader {
 public:
  explicit Reader(const std::string& name) : YamlReader(name) {}

  Result<WebConfig> read(const YAML::Node& root) const {
    WebConfig config;
    if (root.IsNull()) {
      return config;
    }
    if (!root.IsMap()) {
      return wrong(name_, "is no web configuration file: it has no keys", "tls_server_config, basic_auth_users");
    }
    TRY(not_done(root, {"rate_limit"}, "an answer costs as little as refusing it"));
    TRY(only(root, {"tls_server_config", "http_server_config", "basic_auth_users"}));
    if (const YAML::Node node = root["http_server_config"]) {
      TRY(http(node));
    }
    if (const YAML::Node node = root["tls_server_config"]) {
      config.tls = TRY(tls(node));
    }
    if (const YAML::Node node = root["basic_auth_users"]) {
      config.users = TRY(users(node));
    }
    return config;
  }

 private:
  /// Keys of the format that would be passed over in silence.
  Result<void> not_done(const YAML::Node& node, const std::set<std::string_view>& keys,
                        const std::string& instead) const {
    for (const auto& entry : node) {
      if (entry.first.IsScalar() && keys.contains(entry.first.Scalar())) {
        return wrong(at(entry.first), fmt::format("{} is nothing that mapwatch does", entry.first.Scalar()), instead);
      }
    }
    return {};
  }

  Result<void> http(const YAML::Node& node) const {
    if (!node.IsMap()) {
      return wrong(at(node), "http_server_config has no keys");
    }
    TRY(not_done(node, {"headers"}, "nosniff and no-store are sent always; others are for browsers"));
    TRY(only(node, {"http2"}));
    if (node["http2"] && node["http2"].as<bool>()) {
      return wrong(at(node["http2"]), "http2: mapwatch speaks HTTP/1.1 only", "http2: false");
    }
    return {};
  }

  Result<TlsFiles> tls(const YAML::Node& node) const {
    if (!node.IsMap()) {
      return wrong(at(node), "tls_server_config has no keys", "cert_file, key_file");
    }
    TRY(not_done(node, {"cert", "key", "client_ca"}, "name files: cert_file, key_file, client_ca_file"));
    TRY(not_done(node, {"client_allowed_sans"}, "a CA of its own for those who may ask, or basic_auth_users"));
    TRY(not_done(node, {"cipher_suites", "prefer_server_cipher_suites", "curve_preferences", "max_version"},
                 "GnuTLS' own preferences hold; the host's may be set in /etc/gnutls/config"));
    TRY(only(node, {"cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version"}));
    TlsFiles files;
    files.certificate = TRY(path(node, "cert_file"));
    files.key = TRY(path(node, "key_file"));
    if (node["client_auth_type"]) {
      files.client = TRY(client(node));
    }
    if (node["client_ca_file"]) {
      files.client_ca = TRY(path(node, "client_ca_file"));
    }
    if (files.client == ClientCertificate::kNone && !files.client_ca.empty()) {
      return wrong(at(node["client_ca_file"]), "client_ca_file without client_auth_type: nobody is asked",
                   "client_auth_type: RequireAndVerifyClientCert");
    }
    if (files.client != ClientCertificate::kNone && files.client_ca.empty()) {
      return wrong(at(node["client_auth_type"]), "client_auth_type without client_ca_file: nobody could be verified");
    }
    if (node["min_version"]) {
      const std::string version = TRY(text(node, "min_version"));
      if (version != kTls12 && version != kTls13) {
        return wrong(at(node["min_version"]),
                     fmt::format("min_version \"{}\" is none of {}, {}", escape(version), kTls12, kTls13));
      }
      files.only_tls13 = version == kTls13;
    }
    return files;
  }

  Result<std::string> path(const YAML::Node& node, const char* key) const {
    return (std::filesystem::path(name_).parent_path() / TRY(text(node, key))).string();
  }

  Result<ClientCertificate> client(const YAML::Node& node) const {
    const std::string word = TRY(text(node, "client_auth_type"));
    if (word == "NoClientCert") {
      return ClientCertificate::kNone;
    }
    if (word == "VerifyClientCertIfGiven") {
      return ClientCertificate::kIfGiven;
    }
    if (word == "RequireAndVerifyClientCert") {
      return ClientCertificate::kRequired;
    }
    const bool unverified =
        word == "RequestClientCert" || word == "RequireAnyClientCert" || word == "RequireClientCert";
    return wrong(at(node["client_auth_type"]),
                 unverified ? fmt::format("client_auth_type {} lets in whoever makes a certificate", word)
                            : fmt::format("client_auth_type \"{}\" is not known", escape(word)),
                 "NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert");
  }

  Result<Users> users(const YAML::Node& node) const {
    if (!node.IsMap() || node.size() == 0 || node.size() > kMostUsers) {
      return wrong(at(node), fmt::format("basic_auth_users: there must be from 1 to {}", kMostUsers),
                   "USER: HASH, as htpasswd -nBC 12 USER prints them");
    }
    Users users;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar() || !is_user(entry.first.Scalar())) {
        return wrong(at(entry.first), "a user's name has from 1 to 256 characters, no colon and no controls");
      }
      const std::string& name = entry.first.Scalar();
      const auto hash = as_2b(entry.second.IsScalar() ? entry.second.Scalar() : "");
      if (!hash) {
        return wrong(at(entry.first),
                     fmt::format("what {} has is no bcrypt hash of cost {} to {}", escape(name), kLeastCost, kMostCost),
                     "htpasswd -nBC 12 USER prints one");
      }
      if (!users.emplace(name, *hash).second) {
        return wrong(at(entry.first), fmt::format("{} is given twice", escape(name)));
      }
    }
    return users;
  }
};

}  // namespace

Result<WebConfig> parse_web_config(std::string_view text, const std::string& name) {
  try {
    return Reader(name).read(TRY(load_yaml(text, name)));
  } catch (const YAML::Exception& error) {
    return yaml_error(error, name);
  }
}

}  // namespace mapwatch::ops
