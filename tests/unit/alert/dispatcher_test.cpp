#include "alert/dispatcher.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "alert/fake_receiver.h"
#include "base/sha256.h"

namespace mapwatch::alert {
namespace {

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
