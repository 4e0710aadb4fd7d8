#include "alert/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alert/fake_receiver.h"

namespace mapwatch::alert {
namespace {

using testing::Contains;
using testing::HasSubstr;

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

}  // namespace
}  // namespace mapwatch::alert
