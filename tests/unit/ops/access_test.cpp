#include "ops/access.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/temp_dir.h"
#include "ops/test_certificate.h"

namespace mapwatch::ops {
namespace {

constexpr const char* kTls = "tls_server_config: {cert_file: c.pem, key_file: c.key}\n";
constexpr const char* kMutual =
    "tls_server_config: {cert_file: c.pem, key_file: c.key, client_ca_file: c.pem, client_auth_type: "
    "RequireAndVerifyClientCert}\n";
constexpr const char* kIfGiven =
    "tls_server_config: {cert_file: c.pem, key_file: c.key, client_ca_file: c.pem, client_auth_type: "
    "VerifyClientCertIfGiven}\n";
constexpr const char* kUsers = "basic_auth_users: {a: $2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW}\n";

class AccessFile : public testing::Test {
 protected:
  AccessFile() {
    write("c.pem", pair_.certificate, 0644);
    write("c.key", pair_.key);
  }
  void write(const char* name, const std::string& text, mode_t mode = 0600) {
    dir_.write(name, text);
    ASSERT_EQ(::chmod(dir_.file(name).c_str(), mode), 0);
  }
  Result<Access> read(const std::string& text, mode_t mode = 0600) {
    write("web.yml", text, mode);
    return read_access(dir_.file("web.yml"));
  }
  void expect_error(const Result<Access>& access, const std::string& message) {
    ASSERT_FALSE(access) << message;
    EXPECT_EQ(access.error().kind, ErrorKind::kUsage);
    EXPECT_NE(access.error().message.find(message), std::string::npos) << access.error().message;
  }

  const test::TestCertificate pair_;
  const test::TempDir dir_;
};

TEST_F(AccessFile, OtherHostsNeedTlsAndToSayWhoTheyAre) {
  struct Case {
    std::string text;
    std::string refused;  ///< empty: served
  };
  const std::vector<Case> cases = {{"", "there is no TLS"},
                                   {kUsers, "there is no TLS"},
                                   {kTls, "everybody there could ask"},
                                   {kIfGiven, "everybody there could ask"},
                                   {kMutual, ""},
                                   {std::string(kTls) + kUsers, ""},
                                   {std::string(kMutual) + kUsers, ""}};
  for (const auto& [text, refused] : cases) {
    const auto access = read(text);
    ASSERT_TRUE(access) << text << access.error().message;
    for (const char* where : {"0.0.0.0:9750", "[::]:9750", "192.0.2.1:9750", "[2001:db8::1]:9750"}) {
      const auto done = check_access(*parse_listen_address(where), *access);
      ASSERT_EQ(done.has_value(), refused.empty()) << where << text;
      if (!done) {
        EXPECT_EQ(done.error().kind, ErrorKind::kUsage);
        EXPECT_NE(done.error().message.find(refused), std::string::npos) << done.error().message;
        EXPECT_NE(done.error().hint.find("--web-config-file"), std::string::npos) << done.error().hint;
      }
    }
    for (const char* where : {"127.0.0.1:9750", "[::1]:0", "unix:/run/x"}) {
      EXPECT_TRUE(check_access(*parse_listen_address(where), *access)) << where << text;
    }
  }
}

TEST_F(AccessFile, WithoutAFileThereIsPlainHttp) {
  const auto access = read_access("");
  ASSERT_TRUE(access);
  EXPECT_EQ(access->tls, nullptr);
  EXPECT_TRUE(access->users.empty());
}

TEST_F(AccessFile, SecretsAreNotForOthers) {
  EXPECT_TRUE(read(kTls, 0644)) << "no secret is in it";
  expect_error(read(std::string(kTls) + kUsers, 0644), "web.yml: others may read it");
  expect_error(read(kTls, 0666), "web.yml: others may change it");
  write("c.key", pair_.key, 0644);
  expect_error(read(kTls), "c.key: others may read it");
  write("c.key", pair_.key);
  write("c.pem", pair_.certificate, 0666);
  expect_error(read(kTls), "c.pem: others may change it");
}

TEST_F(AccessFile, WhatDoesNotFitIsAnError) {
  expect_error(read_access(dir_.file("none.yml")), "none.yml: No such file");
  expect_error(read("tls_server_config: {cert_file: c.pem, key_file: k.pem}"), "k.pem: No such file");
  expect_error(read("tls_server_config: {cert_file: c.pem, key_fil: c.key}"), "web.yml:1: unknown key key_fil");
  write("c.key", test::TestCertificate().key);
  expect_error(read(kTls), "c.key: ");  // of another certificate
  write("c.key", "nonsense");
  expect_error(read(kTls), "c.key: ");
  write("c.key", pair_.key);
  write("ca.pem", "nonsense");
  expect_error(read("tls_server_config: {cert_file: c.pem, key_file: c.key, client_ca_file: ca.pem, client_auth_type: "
                    "VerifyClientCertIfGiven}"),
               "client_ca_file " + dir_.file("ca.pem"));
}

}  // namespace
}  // namespace mapwatch::ops
