#include "alert/groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mapwatch::alert {
namespace {

using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kMinute = 60 * kSecond;

class GroupsTest : public testing::Test {
 protected:
  static Timing timing() { return {2 * kSecond, kMinute, 60 * kMinute, 15 * kMinute, true, 60}; }
  static Moment at(std::uint64_t ns) { return {ns, static_cast<std::int64_t>(ns) + 1'000}; }
  static Sighting seen(const std::string& id, const std::string& exe = "/a") {
    return {{{"alertname", "A"}, {"exe", exe}, {"id", id}}, {{"pid", "1"}}, 5};
  }
  static std::string of(const std::string& id, const std::string& exe = "/a") {
    return fingerprint(seen(id, exe).labels);
  }
  static std::vector<std::string> ids(const News& news) {
    std::vector<std::string> out;
    for (const Alert& alert : news.alerts) {
      out.push_back(alert.labels.at("id") + (alert.ends_ns != 0 ? " over" : ""));
    }
    return out;
  }

  Groups groups_{timing()};
};

using Ids = std::vector<std::string>;

TEST_F(GroupsTest, WhatComesWithinTheWaitIsToldTogether) {
  groups_.add(seen("1"), at(10 * kSecond));
  EXPECT_THAT(groups_.due(at(10 * kSecond)), IsEmpty());
  EXPECT_EQ(groups_.next_ns(10 * kSecond), 12 * kSecond);
  groups_.add(seen("2"), at(11 * kSecond));
  const auto told = groups_.due(at(12 * kSecond));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(ids(told[0]), UnorderedElementsAre("1", "2"));
  EXPECT_EQ(told[0].alerts[0].starts_ns, 5);
  EXPECT_THAT(groups_.due(at(13 * kSecond)), IsEmpty()) << "told once";
}

TEST_F(GroupsTest, TheNextNewsOfAGroupWaitForTheInterval) {
  groups_.add(seen("1"), at(0));
  groups_.due(at(2 * kSecond));
  groups_.add(seen("2"), at(3 * kSecond));
  groups_.add(seen("3", "/b"), at(3 * kSecond));
  EXPECT_THAT(groups_.due(at(6 * kSecond)), SizeIs(1)) << "another executable is another group";
  EXPECT_EQ(groups_.next_ns(6 * kSecond), 62 * kSecond);
  const auto told = groups_.due(at(62 * kSecond));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(ids(told[0]), (Ids{"2", "1"})) << "what is new comes first, what goes on is told with it";
}

TEST_F(GroupsTest, SeenAgainIsNoNewsUntilTheRepeat) {
  groups_.add(seen("1"), at(0));
  groups_.due(at(2 * kSecond));
  for (std::uint64_t minute = 1; minute < 60; ++minute) {
    groups_.touch(of("1"), at(minute * kMinute));
    groups_.add(seen("1"), at(minute * kMinute));
    EXPECT_THAT(groups_.due(at(minute * kMinute)), IsEmpty());
  }
  EXPECT_THAT(groups_.due(at(60 * kMinute + 2 * kSecond)), SizeIs(1));
}

TEST_F(GroupsTest, OverAfterQuietAndToldOnce) {
  groups_.add(seen("1"), at(0));
  groups_.due(at(2 * kSecond));
  groups_.touch(of("1"), at(10 * kMinute));
  EXPECT_EQ(groups_.next_ns(10 * kMinute), 25 * kMinute);
  EXPECT_THAT(groups_.due(at(25 * kMinute - 1)), IsEmpty());
  groups_.due(at(25 * kMinute));
  const auto told = groups_.due(at(25 * kMinute + 2 * kSecond));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(ids(told[0]), Ids{"1 over"});
  EXPECT_EQ(told[0].alerts[0].ends_ns, at(25 * kMinute).wall_ns);
  EXPECT_EQ(groups_.open(), 0u);
  EXPECT_THAT(groups_.due(at(60 * kMinute)), IsEmpty());
  EXPECT_EQ(groups_.next_ns(60 * kMinute), UINT64_MAX);
}

TEST_F(GroupsTest, WhatIsSeenAgainBeforeItsEndWasToldGoesOn) {
  groups_.add(seen("1"), at(0));
  groups_.due(at(2 * kSecond));
  groups_.due(at(15 * kMinute));
  groups_.touch(of("1"), at(15 * kMinute + kSecond));
  EXPECT_THAT(groups_.due(at(16 * kMinute)), IsEmpty());
  EXPECT_EQ(groups_.open(), 1u);
  EXPECT_EQ(groups_.find(of("1"))->alert.ends_ns, 0);
}

TEST_F(GroupsTest, ThatItFiredIsToldBeforeThatItIsOver) {
  groups_.add(seen("1"), at(0));
  const auto told = groups_.due(at(24 * 60 * kMinute));  // nobody asked for a day
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(ids(told[0]), Ids{"1"});
}

TEST_F(GroupsTest, ABodyHasABoundAndTheRestComesInTheNext) {
  for (int i = 0; i < 250; ++i) {
    EXPECT_TRUE(groups_.add(seen(std::to_string(1000 + i)), at(0)));
  }
  std::set<std::string> told;
  for (std::uint64_t ns = 2 * kSecond; told.size() < 250; ns += kMinute) {
    const auto news = groups_.due(at(ns));
    ASSERT_THAT(news, SizeIs(1)) << told.size();
    EXPECT_EQ(news[0].alerts.size(), Groups::kMostTold);
    EXPECT_EQ(news[0].truncated, 150u);
    const std::size_t before = told.size();
    for (const std::string& id : ids(news[0])) {
      told.insert(id);
    }
    EXPECT_GE(told.size(), std::min<std::size_t>(before + 100, 250)) << "what is new comes first";
  }
}

TEST_F(GroupsTest, AllGroupsTogetherHaveARate) {
  for (int i = 0; i < 200; ++i) {
    groups_.add(seen("1", "/" + std::to_string(i)), at(0));
  }
  std::size_t told = groups_.due(at(2 * kSecond)).size();
  EXPECT_EQ(told, 60u);
  std::uint64_t now = 2 * kSecond;
  while (told < 200) {
    const std::uint64_t next = groups_.next_ns(now);
    ASSERT_LE(next, now + kMinute) << "all of them wait for their turn";
    now = std::max(next, now + 1);
    told += groups_.due(at(now)).size();
  }
  EXPECT_GE(now, 2 * kSecond + 139 * kSecond);
}

TEST_F(GroupsTest, ThereIsABoundOnOpenAlerts) {
  for (std::size_t i = 0; i < Groups::kMostOpen; ++i) {
    ASSERT_TRUE(groups_.add(seen(std::to_string(i)), at(0)));
  }
  EXPECT_FALSE(groups_.add(seen("one more"), at(0)));
  EXPECT_TRUE(groups_.add(seen("7"), at(0))) << "a known one";
}

TEST_F(GroupsTest, ARestoredAlertIsNotNewAndItsQuietTimeBeginsAnew) {
  groups_.restore({{seen("1").labels, {}, 3, 0}, true}, at(kMinute));
  groups_.restore({{seen("2").labels, {}, 4, 0}, false}, at(kMinute));
  groups_.restore({{seen("3").labels, {}, 4, 77}, true}, at(kMinute));
  const auto told = groups_.due(at(kMinute + 2 * kSecond));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(ids(told[0]), UnorderedElementsAre("2", "3 over", "1"));
  EXPECT_EQ(ids(told[0]).back(), "1") << "what was not told then is first";
  EXPECT_THAT(groups_.due(at(15 * kMinute)), IsEmpty());
  EXPECT_THAT(groups_.due(at(16 * kMinute)), IsEmpty()) << "over, and to be told after the wait";
  EXPECT_THAT(ids(groups_.due(at(17 * kMinute)).at(0)), UnorderedElementsAre("1 over", "2 over"));
}

TEST_F(GroupsTest, AllAtTheEndWithoutWaiting) {
  groups_.add(seen("1"), at(0));
  groups_.add(seen("2", "/b"), at(0));
  EXPECT_THAT(groups_.due(at(1), true), SizeIs(2));
  EXPECT_THAT(groups_.due(at(2), true), IsEmpty());
}

TEST_F(GroupsTest, WhatIsToBeKeptIsNamed) {
  groups_.add(seen("1"), at(0));
  EXPECT_EQ(groups_.take_changed(), std::set<std::string>{of("1")});
  EXPECT_FALSE(groups_.find(of("1"))->told);
  groups_.touch(of("1"), at(1));
  EXPECT_THAT(groups_.take_changed(), IsEmpty()) << "a disk is not written at each sighting";
  groups_.due(at(2 * kSecond));
  EXPECT_EQ(groups_.take_changed(), std::set<std::string>{of("1")});
  EXPECT_TRUE(groups_.find(of("1"))->told);
  groups_.due(at(20 * kMinute));
  groups_.due(at(21 * kMinute));
  EXPECT_EQ(groups_.take_changed(), std::set<std::string>{of("1")});
  EXPECT_FALSE(groups_.find(of("1")));
}

TEST(GroupsForAlertmanager, ItIsToldAgainWhileItIsSeenAndForgottenWithoutAWord) {
  Timing timing{2 * kSecond, kMinute, 5 * kMinute, 15 * kMinute, false, 60};
  Groups groups(timing);
  const Sighting sighting{{{"alertname", "A"}, {"id", "1"}}, {}, 5};
  const std::string of = fingerprint(sighting.labels);
  groups.add(sighting, {0, 0});
  EXPECT_THAT(groups.due({2 * kSecond, 0}), SizeIs(1));
  EXPECT_THAT(groups.due({6 * kMinute, 0}), IsEmpty()) << "not seen since";
  groups.touch(of, {7 * kMinute, 0});
  EXPECT_THAT(groups.due({7 * kMinute, 0}), SizeIs(1));
  EXPECT_THAT(groups.due({22 * kMinute, 0}), IsEmpty());
  EXPECT_EQ(groups.open(), 0u);
}

}  // namespace
}  // namespace mapwatch::alert
