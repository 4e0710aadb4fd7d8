#include "alert/signature.h"

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace mapwatch::alert {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SecretFile {
 public:
  explicit SecretFile(const std::string& text, mode_t mode = 0600) {
    dir_.write("secret", text);
    ::chmod(path().c_str(), mode);
  }
  std::string path() const { return dir_.file("secret"); }

 private:
  test::TempDir dir_;
};

TEST(Secret, TheLineOrItsBase64) {
  EXPECT_EQ(read_secret(SecretFile("s3cret\n").path()).value_or(""), "s3cret");
  EXPECT_EQ(read_secret(SecretFile("with blanks in it").path()).value_or(""), "with blanks in it");
  EXPECT_EQ(read_secret(SecretFile("whsec_Zm9vYmFy\r\n").path()).value_or(""), "foobar");
  EXPECT_EQ(read_secret(SecretFile("x", 0640).path()).value_or(""), "x") << "a group may be meant";
}

TEST(Secret, WhatIsNoneIsAnErrorThatDoesNotTellIt) {
  for (const char* text : {"", "\n \n", "whsec_", "whsec_not base64"}) {
    const auto secret = read_secret(SecretFile(text).path());
    ASSERT_FALSE(secret) << text;
    EXPECT_THAT(secret.error().message, Not(HasSubstr("not base64 at all")));
  }
  EXPECT_FALSE(read_secret(SecretFile("x", 0604).path())) << "everybody may read it";
  EXPECT_FALSE(read_secret(SecretFile("x", 0620).path())) << "others may change it";
  EXPECT_FALSE(read_secret("/does/not/exist"));
  EXPECT_FALSE(read_secret("/dev"));
  EXPECT_FALSE(read_secret(SecretFile(std::string(10'000, 'x')).path()));
}

// The example of the libraries of Standard Webhooks and of Svix, where they come from.
TEST(SignedHeaders, AreThoseOfStandardWebhooks) {
  const SecretFile file("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  const auto headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1'614'265'330, R"({"test": 2432232314})",
                                      read_secret(file.path()).value_or(""));
  EXPECT_THAT(headers, ElementsAre("Idempotency-Key: \"msg_p5jXN8AQM9LWM0D4loKWxJek\"",
                                   "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp: 1614265330",
                                   "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
  EXPECT_EQ(signed_headers("k", 1, "b", "").size(), 3u) << "unsigned";
}

}  // namespace
}  // namespace mapwatch::alert
