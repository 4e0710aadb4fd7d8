#include "app/last_moments.h"

#include <signal.h>
#include <sys/wait.h>

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <atomic>
#include <future>

#include "attach/children.h"
#include "base/manual_clock.h"

namespace mapwatch::app {
namespace {

constexpr FollowLimits kLimits = {1'000, 10'000, 500};

class LastMomentsTest : public testing::Test {
 protected:
  LastMomentsTest() { clock_.set(1'000'000, 0); }
  std::uint64_t follow() {
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child_.pid(), 0)));
    return moments_.follow(static_cast<std::uint32_t>(child_.pid()), 1, pidfd.get());
  }
  std::future<dossier::Ending> over(std::uint64_t number) {
    auto promise = std::make_shared<std::promise<dossier::Ending>>();
    moments_.when_over(number, [promise](const dossier::Ending& ending) { promise->set_value(ending); });
    return promise->get_future();
  }

  test::Child child_{"/bin/sleep", {"1000"}};
  test::ManualClock clock_;
  LastMoments moments_{clock_, fail(ErrorKind::kUnsupported, "no program here"), kLimits};
};

TEST_F(LastMomentsTest, TheEndIsToldWhenItComes) {
  const std::uint64_t number = follow();
  EXPECT_FALSE(moments_.look(number).over);
  auto ending = over(number);
  child_.kill_only();
  const dossier::Ending seen = ending.get();
  EXPECT_TRUE(seen.over);
  EXPECT_EQ(seen.gone_ns, 1'000'000u);
  EXPECT_EQ(seen.blind, "no program here");
}

TEST_F(LastMomentsTest, AnEndBeforeAnybodyAsksIsKnown) {
  const std::uint64_t number = follow();
  child_.kill_only();
  EXPECT_TRUE(moments_.look(number).over);
  EXPECT_TRUE(over(number).get().gone_ns);
}

TEST_F(LastMomentsTest, AProcessThatHangsIsGivenUp) {
  const std::uint64_t number = follow();
  clock_.advance(kLimits.end_ns - 1);
  EXPECT_FALSE(moments_.look(number).over);
  clock_.advance(1);
  const dossier::Ending seen = over(number).get();
  EXPECT_TRUE(seen.over);
  EXPECT_FALSE(seen.gone_ns);
}

TEST_F(LastMomentsTest, OtherGoroutinesOnTheFatalPathGoWithTheirProcess) {
  const std::uint64_t number = follow();
  moments_.also_fatal(static_cast<std::uint32_t>(child_.pid()), {5, 9, 77});
  moments_.also_fatal(1, {6, 10, 78});
  const dossier::Ending seen = moments_.look(number);
  ASSERT_EQ(seen.others.size(), 1u);
  EXPECT_EQ(seen.others[0].goid, 9u);
  EXPECT_EQ(seen.more_others, 0u);
  for (std::size_t i = 0; i < dossier::kMostOthers + 2; ++i) {
    moments_.also_fatal(static_cast<std::uint32_t>(child_.pid()), {7, 100 + i, 79});
  }
  EXPECT_EQ(moments_.look(number).others.size(), dossier::kMostOthers);
  EXPECT_EQ(moments_.look(number).more_others, 3u);
}

TEST_F(LastMomentsTest, WhoWasOnTheFatalPathBeforeTheFreezeIsNotLost) {
  const auto pid = static_cast<std::uint32_t>(child_.pid());
  clock_.set(20'000, 0);
  moments_.also_fatal(pid, {5, 3, 76});  // of another process that had the number
  moments_.also_fatal(pid, {19'900, 9, 77});
  moments_.also_fatal(1, {19'900, 10, 78});
  const dossier::Ending seen = moments_.look(follow());
  ASSERT_EQ(seen.others.size(), 1u);
  EXPECT_EQ(seen.others[0].goid, 9u);
  EXPECT_TRUE(moments_.look(follow()).others.empty()) << "told once";
}

TEST_F(LastMomentsTest, WhatIsForgottenIsNotTold) {
  const std::uint64_t number = follow();
  moments_.forget(number);
  bool told = false;
  moments_.when_over(number, [&](const dossier::Ending&) { told = true; });
  child_.kill_only();
  moments_.finish();
  EXPECT_FALSE(told);
}

TEST_F(LastMomentsTest, FinishWaitsForTheEndOfWhatDies) {
  auto ending = over(follow());
  child_.kill_only();
  moments_.finish();
  EXPECT_TRUE(ending.get().gone_ns);
}

/// Each look at it takes a while.
class RunningClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return now_ += 200; }
  std::int64_t realtime_ns() const override { return 0; }

 private:
  mutable std::atomic<std::uint64_t> now_ = 1;
};

/// The child dies while the clock is being read for the `at`th time, just after the time was taken.
class DeadlyClock final : public Clock {
 public:
  DeadlyClock(pid_t child, int at) : child_(child), at_(at) {}
  std::uint64_t monotonic_ns() const override {
    const std::uint64_t now = now_ += 200;
    if (++readings_ == at_) {
      ::kill(child_, SIGKILL);
      siginfo_t info = {};
      ::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOWAIT);
      died_ns = now_ += 200;
    }
    return now;
  }
  std::int64_t realtime_ns() const override { return 0; }

  mutable std::atomic<std::uint64_t> died_ns = 0;

 private:
  const pid_t child_;
  const int at_;
  mutable std::atomic<int> readings_ = 0;
  mutable std::atomic<std::uint64_t> now_ = 1;
};

TEST(LastMoments, AProcessIsNotGoneBeforeItEnds) {
  for (int at = 1; at < 12; ++at) {
    const test::Child child("/bin/sleep", {"1000"});
    const DeadlyClock clock(child.pid(), at);
    LastMoments moments(clock, fail(ErrorKind::kUnsupported, ""), {1'000'000'000, 1'000'000'000, 1'000'000'000});
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child.pid(), 0)));
    const std::uint64_t number = moments.follow(static_cast<std::uint32_t>(child.pid()), 1, pidfd.get());
    std::atomic<bool> told = false;
    std::uint64_t gone_ns = 0;
    while (!told) {  // each call wakes the thread, which reads the clock
      moments.when_over(number, [&](const dossier::Ending& seen) {
        gone_ns = seen.gone_ns.value_or(0);
        told = true;
      });
    }
    EXPECT_GE(gone_ns, clock.died_ns) << at;
  }
}

TEST(LastMoments, FinishGivesUpAfterItsGrace) {
  const test::Child child("/bin/sleep", {"1000"});
  const RunningClock clock;
  LastMoments moments(clock, fail(ErrorKind::kUnsupported, ""), {1'000'000, 1'000'000'000, 1'000});
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child.pid(), 0)));
  const std::uint64_t number = moments.follow(static_cast<std::uint32_t>(child.pid()), 1, pidfd.get());
  bool told = false;
  moments.when_over(number, [&](const dossier::Ending& seen) { told = seen.over && !seen.gone_ns; });
  moments.finish();
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace mapwatch::app
