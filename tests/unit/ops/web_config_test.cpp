#include "ops/web_config.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace mapwatch::ops {
namespace {

constexpr std::string_view kHash = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

TEST(WebConfig, AllThatIsDone) {
  const auto config = parse_web_config(R"(tls_server_config:
  cert_file: server.pem
  key_file: /etc/ssl/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ../ca.pem
  min_version: TLS13
http_server_config: {http2: false}
basic_auth_users:
  alice: )" + std::string(kHash) + "\n  \"b o b\": '" +
                                           std::string(kHash) + "'\n",
                                       "/etc/mapwatch/web.yml");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_TRUE(config->tls);
  EXPECT_EQ(config->tls->certificate, "/etc/mapwatch/server.pem");
  EXPECT_EQ(config->tls->key, "/etc/ssl/server.key");
  EXPECT_EQ(config->tls->client_ca, "/etc/mapwatch/../ca.pem");
  EXPECT_EQ(config->tls->client, ClientCertificate::kRequired);
  EXPECT_TRUE(config->tls->only_tls13);
  EXPECT_EQ(config->users,
            (Users{{"alice", "$2b" + std::string(kHash.substr(3))}, {"b o b", "$2b" + std::string(kHash.substr(3))}}));
}

TEST(WebConfig, WhatIsNotSaid) {
  const auto nothing = parse_web_config("# nothing\n", "web.yml");
  ASSERT_TRUE(nothing) << nothing.error().message;
  EXPECT_FALSE(nothing->tls);
  EXPECT_TRUE(nothing->users.empty());
  const auto tls = parse_web_config("tls_server_config: {cert_file: c, key_file: k}", "web.yml");
  ASSERT_TRUE(tls) << tls.error().message;
  EXPECT_EQ(tls->tls->certificate, "c");
  EXPECT_EQ(tls->tls->client, ClientCertificate::kNone);
  EXPECT_FALSE(tls->tls->only_tls13);
}

struct Wrong {
  const char* text;
  const char* message;
};

TEST(WebConfig, ErrorsNameTheLineAndTheWord) {
  const Wrong kWrong[] = {
      {"tls_server_config:\n  cert_file: c\n  key_fil: k\n", "web.yml:3: unknown key key_fil"},
      {"basic_auth_user:\n  a: b\n", "web.yml:1: unknown key basic_auth_user"},
      {"http_server_config: {htp2: true}", "web.yml:1: unknown key htp2"},
      {"tls_server_config: {cert_file: c}\nbasic_auth_users: 1\ntls_server_config: {}\n",
       "web.yml:3: tls_server_config is given twice"},
      {"- a\n- b\n", "is no web configuration file"},
      {"a: [", "web.yml:1: "},
      {"a: 1\n---\nb: 2\n", "web.yml:2: a second document begins here"},
      // yaml-cpp finds documents in it without end (the fuzzer's)
      {" !4,dWe Oct07:28:00 GM 2 MT", "web.yml:1: this is not YAML"},
      {"tls_server_config:\n", "tls_server_config has no keys"},
      {"tls_server_config: {key_file: k}", "web.yml:1: cert_file is missing"},
      {"tls_server_config: {cert_file: c}", "web.yml:1: key_file is missing"},
      {"tls_server_config: {cert_file: c, key_file: [k]}", "web.yml:1: key_file is missing"},
      {"tls_server_config:\n  cert_file: c\n  key_file: k\n  client_ca_file: a\n",
       "web.yml:4: client_ca_file without client_auth_type"},
      {"tls_server_config:\n  cert_file: c\n  key_file: k\n  client_auth_type: VerifyClientCertIfGiven\n",
       "web.yml:4: client_auth_type without client_ca_file"},
      {"tls_server_config: {cert_file: c, key_file: k, client_auth_type: Sometimes}",
       "client_auth_type \"Sometimes\" is not known"},
      {"tls_server_config: {cert_file: c, key_file: k, client_auth_type: RequireAnyClientCert}",
       "client_auth_type RequireAnyClientCert lets in whoever makes a certificate"},
      {"tls_server_config: {cert_file: c, key_file: k, min_version: TLS11}",
       "min_version \"TLS11\" is none of TLS12, TLS13"},
      {"basic_auth_users:\n", "basic_auth_users: there must be from 1 to 100"},
      {"basic_auth_users: {}", "there must be from 1 to 100"},
      {"basic_auth_users:\n  \"a:b\": x\n", "web.yml:2: a user's name"},
      {"basic_auth_users:\n  \"\": x\n", "web.yml:2: a user's name"},
      {"basic_auth_users:\n  \"a\\x07\": x\n", "web.yml:2: a user's name"},
  };
  for (const auto& [text, message] : kWrong) {
    const auto config = parse_web_config(text, "web.yml");
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().kind, ErrorKind::kUsage);
    EXPECT_NE(config.error().message.find(message), std::string::npos) << text << config.error().message;
  }
}

/// Passed over in silence they would let more in than was meant.
TEST(WebConfig, WhatTheFormatHasAndMapwatchDoesNotDoIsRefused) {
  for (const char* key : {"cert: x", "key: x", "client_ca: x", "client_allowed_sans: [a]", "cipher_suites: [a]",
                          "prefer_server_cipher_suites: true", "curve_preferences: [X25519]", "max_version: TLS12"}) {
    const auto config =
        parse_web_config("tls_server_config:\n  cert_file: c\n  key_file: k\n  " + std::string(key), "w");
    ASSERT_FALSE(config) << key;
    EXPECT_TRUE(config.error().message.starts_with("w:4: ")) << config.error().message;
    EXPECT_TRUE(config.error().message.ends_with(" is nothing that mapwatch does")) << config.error().message;
    EXPECT_NE(config.error().hint, "");
  }
  for (const char* text : {"rate_limit: {interval: 1s}", "http_server_config: {headers: {X-Frame-Options: deny}}",
                           "http_server_config: {http2: true}", "http_server_config: 1"}) {
    EXPECT_FALSE(parse_web_config(text, "w")) << text;
  }
}

TEST(WebConfig, WhatIsNoBcryptHashIsAnErrorThatDoesNotTellIt) {
  const auto with = [](const std::string& hash) { return "basic_auth_users:\n  alice: '" + hash + "'\n"; };
  std::string hash(kHash);
  EXPECT_TRUE(parse_web_config(with(hash), "w"));
  const std::string salt_and_rest = hash.substr(7);
  for (const std::string& bad :
       {std::string("secret"), std::string("$6$abc$secret"), hash + "x", hash.substr(1), "$2x$05$" + salt_and_rest,
        "$2y$03$" + salt_and_rest, "$2y$15$" + salt_and_rest, "$2y$5x$" + salt_and_rest,
        "$2y$05$*" + salt_and_rest.substr(1), "$2y$05x" + salt_and_rest}) {
    const auto config = parse_web_config(with(bad), "w");
    ASSERT_FALSE(config) << bad;
    EXPECT_EQ(config.error().message, "w:2: what alice has is no bcrypt hash of cost 4 to 14");
  }
  std::string many = "basic_auth_users:\n";
  for (int i = 0; i < 101; ++i) {
    many += "  u" + std::to_string(i) + ": '" + hash + "'\n";
  }
  EXPECT_FALSE(parse_web_config(many, "w"));
  EXPECT_FALSE(parse_web_config("basic_auth_users:\n  a: '" + hash + "'\n  a: '" + hash + "'\n", "w"));
}

}  // namespace
}  // namespace mapwatch::ops
