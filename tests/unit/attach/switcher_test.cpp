#include "attach/switcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <string>

namespace mapwatch::attach {
namespace {

constexpr std::uint64_t kForEver = Switcher::kForEver;

/// Links that write down when they come and go.
class SwitcherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Switcher::create(clock_);
    ASSERT_TRUE(made) << made.error().message;
    switcher_ = std::move(*made);
  }

  Switcher::Make make(std::string name) {
    return [this, name]() -> Result<Switcher::Link> {
      say("+" + name);
      return Switcher::Link(nullptr, [this, name](void*) { say("-" + name); });
    };
  }
  void say(const std::string& what) {
    const std::lock_guard lock(mutex_);
    log_ += what + " ";
  }
  std::string log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }
  /// The next `count` that were done, however long they take.
  std::vector<Switcher::Done> next(std::size_t count) {
    std::vector<Switcher::Done> all;
    while (all.size() < count) {
      pollfd wake = {switcher_->fd(), POLLIN, 0};
      if (::poll(&wake, 1, 60'000) != 1) {
        ADD_FAILURE() << "only " << all.size() << " of " << count << " were done: " << log();
        break;
      }
      for (Switcher::Done& done : switcher_->done()) {
        all.push_back(std::move(done));
      }
    }
    return all;
  }

  SystemClock clock_;
  std::mutex mutex_;
  std::string log_;
  std::unique_ptr<Switcher> switcher_;
};

TEST_F(SwitcherTest, AttachesAndDetachesInOrder) {
  switcher_->attach({1, 1}, make("a"), kForEver);
  switcher_->attach({1, 2}, make("b"), kForEver);
  const auto done = next(2);
  EXPECT_TRUE(done[0].attached && done[1].attached);
  EXPECT_LE(done[0].began_ns, done[0].ended_ns);
  EXPECT_LE(done[0].ended_ns, done[1].began_ns);
  switcher_->detach({1, 1});
  const auto gone = next(1);
  EXPECT_EQ(gone[0].name, Switcher::Name(1, 1));
  EXPECT_FALSE(gone[0].attached);
  EXPECT_FALSE(gone[0].error);
  EXPECT_EQ(log(), "+a +b -a ");
}

TEST_F(SwitcherTest, DetachesByItselfWhenItsTimeIsOver) {
  switcher_->attach({1, 1}, make("window"), 1'000'000);
  const auto done = next(2);
  EXPECT_TRUE(done[0].attached);
  EXPECT_FALSE(done[1].attached);
  EXPECT_GE(done[1].began_ns, done[0].ended_ns + 1'000'000);
  EXPECT_EQ(log(), "+window -window ");
}

TEST_F(SwitcherTest, KeepMovesTheEnd) {
  switcher_->attach({1, 1}, make("a"), kForEver);
  next(1);
  switcher_->keep({1, 1}, 0);
  next(1);
  EXPECT_EQ(log(), "+a -a ");
}

TEST_F(SwitcherTest, DetachGoesBeforeAttachesThatWait) {
  std::promise<void> entered;
  std::promise<void> gate;
  switcher_->attach({1, 1}, make("a"), kForEver);
  next(1);
  switcher_->attach(
      {1, 2},
      [&]() -> Result<Switcher::Link> {
        entered.set_value();
        gate.get_future().wait();
        return make("slow")();
      },
      kForEver);
  entered.get_future().wait();
  switcher_->attach({1, 3}, make("late"), kForEver);
  switcher_->attach({1, 4}, make("never"), kForEver);
  switcher_->detach({1, 4});
  switcher_->detach({1, 1});
  const auto before = next(2);  // though an attach is under way
  gate.set_value();
  next(2);
  EXPECT_EQ(before[0].name, Switcher::Name(1, 4));
  EXPECT_EQ(log(), "+a -a +slow +late ");
}

TEST_F(SwitcherTest, ALinkThatIsToGoWhileItIsMadeGoesWhenItStands) {
  std::promise<void> entered;
  std::promise<void> gate;
  switcher_->attach(
      {1, 1},
      [&]() -> Result<Switcher::Link> {
        entered.set_value();
        gate.get_future().wait();
        return make("a")();
      },
      kForEver);
  entered.get_future().wait();
  switcher_->detach({1, 1});
  gate.set_value();
  const auto done = next(2);
  EXPECT_TRUE(done[0].attached);
  EXPECT_FALSE(done[1].attached);
  EXPECT_EQ(log(), "+a -a ");
}

TEST_F(SwitcherTest, DetachesSeveralAtOnce) {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t inside = 0;
  std::size_t met = 0;
  for (std::uint32_t i = 0; i < Switcher::kEnders; ++i) {
    switcher_->attach_now(
        {1, i},
        [&]() -> Result<Switcher::Link> {
          return Switcher::Link(nullptr, [&](void*) {  // leaves when all of them are in it
            std::unique_lock lock(mutex);
            ++inside;
            changed.notify_all();
            met += changed.wait_for(lock, std::chrono::seconds(60), [&] { return inside == Switcher::kEnders; });
          });
        },
        kForEver);
  }
  for (std::uint32_t i = 0; i < Switcher::kEnders; ++i) {
    switcher_->detach({1, i});
  }
  next(Switcher::kEnders);
  EXPECT_EQ(met, Switcher::kEnders);
}

TEST_F(SwitcherTest, ARefusalIsToldAndTheOthersGoOn) {
  switcher_->attach(
      {1, 1}, []() -> Result<Switcher::Link> { return fail(ErrorKind::kGone, "no such process"); }, kForEver);
  switcher_->attach({1, 2}, make("b"), kForEver);
  const auto done = next(2);
  EXPECT_FALSE(done[0].attached);
  ASSERT_TRUE(done[0].error);
  EXPECT_EQ(done[0].error->kind, ErrorKind::kGone);
  EXPECT_TRUE(done[1].attached);
}

TEST_F(SwitcherTest, AttachesOnTheCallersThread) {
  const auto done = switcher_->attach_now({1, 1}, make("now"), kForEver);
  ASSERT_TRUE(done);
  EXPECT_EQ(log(), "+now ");
  EXPECT_FALSE(switcher_->attach_now(
      {1, 2}, [] { return fail(ErrorKind::kGone, "gone"); }, kForEver));
}

TEST_F(SwitcherTest, AGroupEndsWholeAndAlone) {
  switcher_->attach({1, 1}, make("a"), kForEver);
  switcher_->attach({2, 1}, make("other"), kForEver);
  next(2);
  switcher_->attach_now({1, 9}, make("b"), kForEver);
  switcher_->end_group(1);
  EXPECT_THAT(log(), testing::AnyOf("+a +other +b -a -b ", "+a +other +b -b -a "));
  EXPECT_TRUE(switcher_->done().empty()) << "nobody is left to be told";
}

TEST_F(SwitcherTest, NothingStandsWhenItIsGone) {
  switcher_->attach({1, 1}, make("a"), kForEver);
  next(1);
  switcher_.reset();
  EXPECT_EQ(log(), "+a -a ");
}

}  // namespace
}  // namespace mapwatch::attach
