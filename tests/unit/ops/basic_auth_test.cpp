#include "ops/basic_auth.h"

#include <gtest/gtest.h>

#include "base/manual_clock.h"

namespace mapwatch::ops {
namespace {

constexpr std::uint64_t kCheckNs = 100'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;
// printf alice:right | base64, and so on.
constexpr const char* kAlice = "Basic YWxpY2U6cmlnaHQ=";
constexpr const char* kAliceWrong = "Basic YWxpY2U6d3Jvbmc=";
constexpr const char* kBob = "Basic Ym9iOnJpZ2h0";
constexpr const char* kNobody = "Basic bm9ib2R5OnJpZ2h0";

/// A check takes 0.1 s; the password "right" is right for the hashes "A" and "B".
class Passwords : public testing::Test {
 protected:
  Verdict check(const char* header, const std::string& peer = "peer") { return auth_.check(users_, header, peer); }

  test::ManualClock clock_;
  Users users_ = {{"alice", "A"}, {"bob", "B"}};
  std::vector<std::string> checked_;
  BasicAuth auth_{clock_, [this](const std::string& password, const std::string& hash) {
                    clock_.advance(kCheckNs);
                    checked_.push_back(hash);
                    return password == "right" && (hash == "A" || hash == "B");
                  }};
};

TEST_F(Passwords, WhatIsNoCredentialIsNotChecked) {
  // "alice", "alice:right\0x" and what is no base64.
  for (const char* header : {"", "Basic", "Basic ", "Basic YWxpY2U=", "Basic YWxpY2U6cmlnaHQAeA==", "Basic a:b",
                             "Bearer YWxpY2U6cmlnaHQ=", "YWxpY2U6cmlnaHQ="}) {
    EXPECT_EQ(check(header), Verdict::kRefused) << header;
  }
  EXPECT_TRUE(checked_.empty());
}

TEST_F(Passwords, WhatWasRightIsKnownAgain) {
  EXPECT_EQ(check(kAlice), Verdict::kGranted);
  EXPECT_EQ(check("bAsIc YWxpY2U6cmlnaHQ="), Verdict::kGranted);
  EXPECT_EQ(check(kAlice, "elsewhere"), Verdict::kGranted);
  EXPECT_EQ(checked_.size(), 1u);
  clock_.advance(kSecond);
  EXPECT_EQ(check(kBob), Verdict::kGranted);
  EXPECT_EQ(check(kAlice), Verdict::kGranted);
  EXPECT_EQ(checked_, (std::vector<std::string>{"A", "B"}));
}

TEST_F(Passwords, AnotherHashOrNoUserMakesItUnknown) {
  EXPECT_EQ(check(kAlice), Verdict::kGranted);
  clock_.advance(kSecond);
  users_["alice"] = "new";
  EXPECT_EQ(check(kAlice), Verdict::kRefused);
  clock_.advance(2 * kSecond);
  users_.erase("alice");
  EXPECT_EQ(check(kAlice), Verdict::kRefused);
}

TEST_F(Passwords, ANameThatDoesNotExistCostsACheckAndIsNeverRight) {
  EXPECT_EQ(check(kNobody), Verdict::kRefused);
  ASSERT_EQ(checked_.size(), 1u);
  EXPECT_TRUE(checked_[0] == "A" || checked_[0] == "B") << checked_[0];
  clock_.advance(2 * kSecond);
  EXPECT_EQ(check(kNobody), Verdict::kRefused);
  ASSERT_EQ(checked_.size(), 2u);
  EXPECT_EQ(checked_[0], checked_[1]) << "a cost that changes would tell that there is no such name";
}

TEST_F(Passwords, ChecksTakeAQuarterOfTheTime) {
  EXPECT_EQ(check(kAliceWrong, "1"), Verdict::kRefused);
  EXPECT_EQ(check(kAlice, "2"), Verdict::kLater);
  clock_.advance(3 * kCheckNs - 1);
  EXPECT_EQ(check(kAlice, "2"), Verdict::kLater);
  clock_.advance(1);
  EXPECT_EQ(check(kAlice, "2"), Verdict::kGranted);
  EXPECT_EQ(checked_.size(), 2u);
}

TEST_F(Passwords, WhoeverWasWrongWaitsLongerThanOthers) {
  EXPECT_EQ(check(kAliceWrong, "1"), Verdict::kRefused);
  clock_.advance(3 * kCheckNs);
  EXPECT_EQ(check(kAliceWrong, "1"), Verdict::kLater);
  EXPECT_EQ(check(kAlice, "1"), Verdict::kLater);
  EXPECT_EQ(check(kAlice, "2"), Verdict::kGranted);
  EXPECT_EQ(check(kAlice, "1"), Verdict::kGranted) << "known by now, and costs nothing";
  clock_.advance(13 * kCheckNs);
  EXPECT_EQ(check(kAliceWrong, "1"), Verdict::kRefused);
}

TEST_F(Passwords, AStormOfGuessesKeepsNobodyOutForLong) {
  std::size_t later = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    later += check(kAliceWrong, "attacker") == Verdict::kLater ? 1 : 0;
  }
  EXPECT_EQ(later, 99u);
  clock_.advance(3 * kCheckNs);
  EXPECT_EQ(check(kAlice, "prometheus"), Verdict::kGranted);
  for (int i = 0; i < 100; ++i) {
    check(kAliceWrong, "attacker");
    EXPECT_EQ(check(kAlice, "prometheus"), Verdict::kGranted);
    clock_.advance(kSecond);
  }
}

/// Test vectors of crypt_blowfish, which crypt(3) has this function from. For "$2a$" that one differs from what Go
/// makes in the last of them.
TEST(Bcrypt, IsCheckedByCrypt) {
  EXPECT_TRUE(bcrypt_matches("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
  EXPECT_FALSE(bcrypt_matches("U*V", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
  EXPECT_FALSE(bcrypt_matches("U*U", "nonsense"));
  EXPECT_FALSE(bcrypt_matches("", ""));
  const auto config =
      parse_web_config("basic_auth_users: {a: $2a$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e}", "w");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(bcrypt_matches("\xff\xff\xa3", config->users.at("a")));
}

}  // namespace
}  // namespace mapwatch::ops
