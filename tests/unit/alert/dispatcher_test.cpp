#include "alert/dispatcher.h"

#include <sys/stat.h>

#include <deque>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/manual_clock.h"
#include "base/sha256.h"
#include "base/temp_dir.h"

namespace mapwatch::alert {
namespace {

using Json = nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kMinute = 60 * kSecond;

struct Got {
  std::uint64_t at_ns = 0;
  std::map<std::string, std::string> headers;
  std::string body;
  std::string url;
  std::string key() const { return headers.at("webhook-id"); }
};

/// Answers as the test says, and keeps what it took.
class FakeReceiver final : public Transport {
 public:
  explicit FakeReceiver(test::ManualClock& clock) : clock_(clock) {}

  Result<Answer> post(const Request& request) override {
    Got got;
    got.at_ns = clock_.monotonic_ns();
    got.body = request.body;
    got.url = request.url;
    for (const std::string& header : request.headers) {
      const std::size_t colon = header.find(':');
      got.headers[header.substr(0, colon)] = header.substr(std::min(colon + 2, header.size()));
    }
    tries.push_back(got);
    clock_.advance(takes_ns);
    if (!answer) {
      return tl::unexpected(answer.error());
    }
    if (answer->status == 200) {
      taken.push_back(std::move(got));
    }
    return answer;
  }
  void answers(long status, std::string retry_after = "") { answer = Answer{status, std::move(retry_after), "text"}; }
  void is_down() { answer = fail(ErrorKind::kFailed, "Couldn't connect to server"); }

  Result<Answer> answer = Answer{200, "", ""};
  std::uint64_t takes_ns = 0;
  std::vector<Got> tries;
  std::vector<Got> taken;

 private:
  test::ManualClock& clock_;
};

class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() {
    clock_.set(kMinute, 1'795'000'000'000'000'000);
    receiver_.name = "webhook";
    receiver_.url = "http://127.0.0.1/hook";
    start();
  }
  /// Anew, with what is on the disk.
  void start() {
    dispatcher_.reset();
    dispatcher_.emplace(
        receiver_, clock_, transport_, [this] { return open_store(); }, ++seed_);
  }
  Result<Store> open_store() {
    if (no_disk_) {
      return fail(ErrorKind::kFailed, "no disk");
    }
    return Store::open(dir_.file("webhook.db"), room_);
  }
  static Sighting seen(const std::string& id, std::size_t size = 1) {
    return {{{"alertname", "A"}, {"exe", "/srv/" + id}, {"id", id}}, {{"summary", std::string(size, 's')}}, 5};
  }
  /// Steps as the thread would, until `ns` are over.
  void pass(std::uint64_t ns) {
    const std::uint64_t end = clock_.monotonic_ns() + ns;
    for (;;) {
      const std::uint64_t next = dispatcher_->step();
      ++steps_;
      if (next >= end) {
        break;
      }
      clock_.advance(next > clock_.monotonic_ns() ? next - clock_.monotonic_ns() : 0);
    }
    if (clock_.monotonic_ns() < end) {
      clock_.advance(end - clock_.monotonic_ns());
    }
    dispatcher_->step();
  }
  static std::set<std::string> ids(const std::vector<Got>& all) {
    std::set<std::string> out;
    for (const Got& got : all) {
      const Json body = Json::parse(got.body);
      for (const Json& alert : body.is_array() ? body : body["alerts"]) {
        out.insert(alert["labels"]["id"].get<std::string>());
      }
    }
    return out;
  }

  test::TempDir dir_;
  test::ManualClock clock_;
  FakeReceiver transport_{clock_};
  Receiver receiver_;
  std::optional<Dispatcher> dispatcher_;
  bool no_disk_ = false;
  std::uint64_t room_ = 64u << 20;
  std::uint32_t seed_ = 0;
  std::uint64_t steps_ = 0;
};

TEST_F(DispatcherTest, ANotificationIsSentWithItsKeyAndSignature) {
  dir_.write("secret", "s3cret\n");
  ::chmod(dir_.file("secret").c_str(), 0600);
  receiver_.secret_file = dir_.file("secret");
  start();
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  ASSERT_EQ(transport_.taken.size(), 1u);
  const Got& got = transport_.taken[0];
  EXPECT_EQ(got.headers.at("Content-Type"), "application/json");
  EXPECT_EQ(got.headers.at("Idempotency-Key"), "\"" + got.key() + "\"");
  EXPECT_EQ(got.key().size(), 32u);
  const std::string stamp = got.headers.at("webhook-timestamp");
  EXPECT_EQ(got.headers.at("webhook-signature"),
            "v1," + hmac_sha256_base64("s3cret", got.key() + "." + stamp + "." + got.body));
  EXPECT_EQ(stamp, "1795000002") << "when it was sent";
  EXPECT_EQ(dispatcher_->counts().delivered, 1u);
  EXPECT_EQ(dispatcher_->counts().waiting, 0u);
}

TEST_F(DispatcherTest, AnHourOfADeadReceiverLosesNothing) {
  transport_.is_down();
  for (int minute = 0; minute < 60; ++minute) {
    dispatcher_->tell(seen(std::to_string(minute)));
    pass(kMinute);
  }
  EXPECT_TRUE(transport_.taken.empty());
  EXPECT_EQ(dispatcher_->counts().dropped, 0u);
  const std::size_t tries = transport_.tries.size();
  EXPECT_GE(tries, 12u + 8u) << "once in five minutes at least";
  EXPECT_LE(tries, 24u + 10u) << "and not much more often";
  for (std::size_t i = 10; i < tries; ++i) {
    const std::uint64_t gap = transport_.tries[i].at_ns - transport_.tries[i - 1].at_ns;
    EXPECT_GE(gap, 150 * kSecond);
    EXPECT_LE(gap, 301 * kSecond);
  }
  EXPECT_LT(steps_, 2'000u) << "it sleeps meanwhile";
  transport_.answers(200);
  pass(6 * kMinute);
  EXPECT_EQ(ids(transport_.taken).size(), 60u) << "each of them";
  EXPECT_EQ(dispatcher_->counts().waiting, 0u);
}

TEST_F(DispatcherTest, WhatWaitsIsSentAfterARestartWithTheSameKeyAndBody) {
  transport_.answers(503);
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  const Got before = transport_.tries.back();
  start();
  EXPECT_TRUE(transport_.taken.empty());
  transport_.answers(200);
  pass(10 * kSecond);
  ASSERT_EQ(transport_.taken.size(), 1u);
  EXPECT_EQ(transport_.taken[0].key(), before.key());
  EXPECT_EQ(transport_.taken[0].body, before.body);
  start();
  pass(kMinute);
  EXPECT_EQ(transport_.taken.size(), 1u) << "and not once more";
}

/// It dies after the receiver took it and before that is written down.
TEST_F(DispatcherTest, ADeathBetweenDeliveryAndItsNoteGivesADuplicateWithTheSameKey) {
  transport_.answers(500);
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  std::filesystem::create_directory(dir_.file("copy"));
  const auto copy = [&](const char* from, const char* to) {
    for (const char* suffix : {"", "-wal"}) {
      std::error_code none;
      std::filesystem::copy_file(dir_.file(from) + suffix, dir_.file(to) + suffix,
                                 std::filesystem::copy_options::overwrite_existing, none);
    }
  };
  copy("webhook.db", "copy/db");
  transport_.answers(200);
  pass(kMinute);
  ASSERT_EQ(transport_.taken.size(), 1u);
  dispatcher_.reset();
  copy("copy/db", "webhook.db");
  start();
  pass(kMinute);
  ASSERT_EQ(transport_.taken.size(), 2u);
  EXPECT_EQ(transport_.taken[0].key(), transport_.taken[1].key());
  EXPECT_EQ(transport_.taken[0].body, transport_.taken[1].body);
}

TEST_F(DispatcherTest, WhatWasNotToldBeforeADeathIsToldAfterIt) {
  dispatcher_->tell(seen("1"));
  dispatcher_->step();  // on the disk, and waits for others of its group
  start();
  pass(kMinute);
  EXPECT_EQ(ids(transport_.taken), std::set<std::string>{"1"});
}

TEST_F(DispatcherTest, ResolvedComesAfterTheRestartToo) {
  dispatcher_->tell(seen("1"));
  pass(kMinute);
  start();
  pass(20 * kMinute);
  ASSERT_EQ(transport_.taken.size(), 2u);
  EXPECT_EQ(Json::parse(transport_.taken[1].body)["status"], "resolved");
}

TEST_F(DispatcherTest, RetryAfterIsKept) {
  transport_.answers(429, "1800");
  dispatcher_->tell(seen("1"));
  pass(29 * kMinute);
  EXPECT_EQ(transport_.tries.size(), 1u);
  pass(2 * kMinute);
  EXPECT_EQ(transport_.tries.size(), 2u);
}

TEST_F(DispatcherTest, ARefusedBodyDoesNotBlockTheOthers) {
  transport_.answers(400);
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  transport_.answers(200);
  dispatcher_->tell(seen("2"));
  pass(10 * kSecond);
  EXPECT_EQ(dispatcher_->counts().refused, 1u);
  EXPECT_EQ(ids(transport_.taken), std::set<std::string>{"2"});
}

TEST_F(DispatcherTest, AWrongAddressOrSecretIsTriedUntilItIsMended) {
  transport_.answers(404);
  dispatcher_->tell(seen("1"));
  pass(kMinute);
  EXPECT_EQ(dispatcher_->counts().refused, 0u);
  receiver_.secret_file = dir_.file("secret");
  start();
  transport_.answers(200);
  pass(10 * kMinute);
  EXPECT_TRUE(transport_.taken.empty()) << "never unsigned";
  dir_.write("secret", "s3cret");
  ::chmod(dir_.file("secret").c_str(), 0600);
  pass(6 * kMinute);
  EXPECT_EQ(ids(transport_.taken), std::set<std::string>{"1"});
}

TEST_F(DispatcherTest, OfTooMuchTheOldestGoesAndIsCounted) {
  receiver_.spool_bytes = 100'000;
  receiver_.timing.resolve_ns = 24 * 60 * kMinute;
  start();
  transport_.is_down();
  for (int i = 0; i < 100; ++i) {
    dispatcher_->tell(seen(std::to_string(100 + i), 10'000));
    pass(10 * kSecond);
  }
  EXPECT_GE(dispatcher_->counts().dropped, 90u);
  EXPECT_LE(dispatcher_->counts().waiting_bytes, 100'000u);
  transport_.answers(200);
  pass(10 * kMinute);
  const auto got = ids(transport_.taken);
  EXPECT_GE(got.size(), 3u);
  EXPECT_THAT(got, Contains("199")) << "the newest";
  EXPECT_EQ(got.contains("100"), false);
  EXPECT_EQ(dispatcher_->counts().dropped + transport_.taken.size(), 100u) << "each is told or counted";
}

TEST_F(DispatcherTest, ADiskThatIsFullKeepsNothingBack) {
  room_ = 0;
  receiver_.timing.resolve_ns = 24 * 60 * kMinute;
  start();
  transport_.is_down();
  for (int i = 0; i < 40; ++i) {
    dispatcher_->tell(seen(std::to_string(100 + i), 10'000));
    pass(2 * kMinute);
  }
  EXPECT_GE(dispatcher_->counts().unkept, 1u);
  EXPECT_EQ(dispatcher_->counts().waiting, 40u);
  transport_.answers(200);
  pass(10 * kMinute);
  EXPECT_EQ(ids(transport_.taken).size(), 40u);
  transport_.taken.clear();
  room_ = 64u << 20;
  start();
  pass(10 * kMinute);
  EXPECT_EQ(ids(transport_.taken).size(), transport_.taken.size()) << "no alert twice";
}

TEST_F(DispatcherTest, WithoutADiskAllGoesOnAndWithOneItIsKept) {
  no_disk_ = true;
  start();
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  EXPECT_EQ(ids(transport_.taken), std::set<std::string>{"1"});
  transport_.is_down();
  dispatcher_->tell(seen("2"));
  pass(10 * kSecond);
  no_disk_ = false;
  pass(kMinute);
  start();
  transport_.answers(200);
  pass(10 * kMinute);
  EXPECT_EQ(ids(transport_.taken), (std::set<std::string>{"1", "2"}));
}

TEST_F(DispatcherTest, WhatWaitedOnTheDiskGoesBeforeWhatCameWithoutIt) {
  transport_.is_down();
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  no_disk_ = true;
  start();
  dispatcher_->tell(seen("2"));
  pass(10 * kSecond);
  no_disk_ = false;
  pass(kMinute);
  transport_.answers(200);
  pass(10 * kMinute);
  ASSERT_EQ(transport_.taken.size(), 2u);
  EXPECT_THAT(transport_.taken[0].body, HasSubstr("/srv/1"));
}

TEST_F(DispatcherTest, AReceiverThatHangsIsTriedOnceAStepAndNothingIsLost) {
  transport_.takes_ns = 10 * kSecond;
  transport_.answer = fail(ErrorKind::kFailed, "Timeout was reached");
  for (int i = 0; i < 10; ++i) {
    dispatcher_->tell(seen(std::to_string(i)));
    clock_.advance(3 * kSecond);
    const std::size_t before = transport_.tries.size();
    dispatcher_->step();
    EXPECT_LE(transport_.tries.size(), before + 1);
  }
  EXPECT_GE(transport_.tries.size(), 3u);
  transport_.answers(200);
  pass(10 * kMinute);
  EXPECT_EQ(ids(transport_.taken).size(), 10u);
}

TEST_F(DispatcherTest, TheEndKeepsWhatIsNotToldYetAndTriesIt) {
  dispatcher_->tell(seen("1"));
  dispatcher_->finish();
  EXPECT_EQ(ids(transport_.taken), std::set<std::string>{"1"}) << "no wait for its group";
  transport_.is_down();
  dispatcher_->tell(seen("2"));
  dispatcher_->finish();
  start();
  transport_.answers(200);
  pass(kMinute);
  EXPECT_EQ(ids(transport_.taken), (std::set<std::string>{"1", "2"}));
}

TEST_F(DispatcherTest, WhatWaitsGoesToANewAddressAtOnceUnderItsKey) {
  transport_.answers(503, "1800");
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  ASSERT_EQ(transport_.tries.size(), 1u);
  transport_.answers(200);
  receiver_.url = "http://127.0.0.1/other";
  dispatcher_->change(receiver_);
  dispatcher_->step();
  ASSERT_EQ(transport_.taken.size(), 1u) << "the Retry-After was another's";
  EXPECT_EQ(transport_.taken[0].url, "http://127.0.0.1/other");
  EXPECT_EQ(transport_.taken[0].key(), transport_.tries[0].key());
}

TEST_F(DispatcherTest, WithoutAnAddressNothingIsSentAndWhatWaitsIsKept) {
  transport_.is_down();
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  const std::string key = transport_.tries[0].key();
  const std::size_t tries = transport_.tries.size();
  const std::string url = std::exchange(receiver_.url, "");
  dispatcher_->change(receiver_);
  transport_.answers(200);
  const std::uint64_t steps = steps_;
  pass(10 * kMinute);
  EXPECT_EQ(transport_.tries.size(), tries);
  EXPECT_LT(steps_ - steps, 20u) << "it sleeps";
  dispatcher_->finish();
  start();  // without an address still
  pass(10 * kMinute);
  EXPECT_EQ(transport_.tries.size(), tries);
  receiver_.url = url;
  dispatcher_->change(receiver_);
  pass(10 * kSecond);
  ASSERT_EQ(transport_.taken.size(), 1u);
  EXPECT_EQ(transport_.taken[0].key(), key);
}

TEST_F(DispatcherTest, ANewTimingHoldsForWhatIsOpen) {
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  receiver_.timing.resolve_ns = kMinute;
  dispatcher_->change(receiver_);
  pass(2 * kMinute);
  ASSERT_EQ(transport_.taken.size(), 2u) << "else it would be over in a quarter of an hour";
  EXPECT_EQ(Json::parse(transport_.taken[1].body)["status"], "resolved");
}

TEST_F(DispatcherTest, TwoNotificationsOfTheSameWordsHaveTwoKeys) {
  receiver_.timing.repeat_ns = kMinute;
  start();
  dispatcher_->tell(seen("1"));
  pass(10 * kSecond);
  dispatcher_->tell(seen("1"));
  pass(2 * kMinute);
  ASSERT_EQ(transport_.taken.size(), 2u);
  EXPECT_EQ(transport_.taken[0].body, transport_.taken[1].body);
  EXPECT_NE(transport_.taken[0].key(), transport_.taken[1].key()) << "a repeat is no duplicate";
}

/// Somebody sets the clock by a day, either way, while an alert waits and again while it is open.
TEST_F(DispatcherTest, AClockThatIsSetLosesNothingAndMovesNoTime) {
  constexpr std::int64_t kDayNs = 86'400'000'000'000;
  for (const Form form : {Form::kWebhook, Form::kAlertmanager}) {
    for (const std::int64_t step : {-kDayNs, kDayNs}) {
      receiver_.form = form;
      receiver_.timing.tell_resolved = form == Form::kWebhook;
      std::filesystem::remove(dir_.file("webhook.db"));
      start();
      transport_.is_down();
      transport_.tries.clear();
      transport_.taken.clear();
      Sighting sighting = seen("1");
      sighting.time_ns = clock_.realtime_ns();
      dispatcher_->tell(sighting);
      pass(10 * kSecond);
      clock_.step(step);
      pass(10 * kMinute);
      const std::size_t tries = transport_.tries.size();
      EXPECT_GE(tries, 8u);
      EXPECT_LE(tries, 12u) << "not more often for that";
      transport_.answers(200);
      pass(6 * kMinute);
      ASSERT_GE(transport_.taken.size(), 1u);
      clock_.step(step);
      pass(kMinute);
      EXPECT_EQ(dispatcher_->open(), 0u) << "over after a quarter of an hour, by any clock";
      EXPECT_EQ(ids(transport_.taken), std::set<std::string>{"1"});
      EXPECT_EQ(transport_.taken.size(), form == Form::kWebhook ? 2u : 1u) << "fires and is over";
      for (const Got& got : transport_.taken) {
        const Json body = Json::parse(got.body);
        for (const Json& each : form == Form::kWebhook ? body["alerts"] : body) {
          const std::string ends = each["endsAt"];
          EXPECT_TRUE(each["startsAt"] <= each["endsAt"] || ends.starts_with("0001")) << each;
        }
      }
      EXPECT_EQ(dispatcher_->counts().dropped + dispatcher_->counts().refused, 0u);
    }
  }
}

TEST_F(DispatcherTest, ToAlertmanagerALateAlertStillFires) {
  receiver_.form = Form::kAlertmanager;
  receiver_.timing.tell_resolved = false;
  start();
  transport_.is_down();
  dispatcher_->tell(seen("1"));
  pass(60 * kMinute);
  EXPECT_EQ(dispatcher_->open(), 0u) << "over long since";
  transport_.answers(200);
  pass(6 * kMinute);
  ASSERT_EQ(transport_.taken.size(), 1u);
  const Json body = Json::parse(transport_.taken[0].body);
  EXPECT_EQ(body[0]["labels"]["id"], "1");
  EXPECT_GE(body[0]["endsAt"].get<std::string>(), "2026-11-18T12:21:40Z") << "from its delivery on";
}

}  // namespace
}  // namespace mapwatch::alert
