#include "base/work_thread.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <latch>
#include <vector>

namespace mapwatch {
namespace {

TEST(WorkThread, DoesAllInTheOrderItWasGiven) {
  std::vector<int> done;
  WorkThread thread;
  for (int i = 0; i < 1000; ++i) {
    thread.post([&done, i] { done.push_back(i); });
  }
  thread.drain();
  ASSERT_EQ(done.size(), 1000u);
  EXPECT_TRUE(std::ranges::is_sorted(done));
  EXPECT_EQ(thread.waiting(), 0u);
}

TEST(WorkThread, RefusesWhatIsOfferedBeyondItsBoundAndNothingElse) {
  std::latch begun(1);
  std::latch go(1);
  int done = 0;
  {
    WorkThread thread(0, 2);
    thread.post([&] {
      begun.count_down();
      go.wait();
    });
    begun.wait();
    for (int i = 0; i < 5; ++i) {
      thread.offer([&] { ++done; });
    }
    EXPECT_EQ(thread.waiting(), 2u);
    EXPECT_EQ(thread.refused(), 3u);
    thread.post([&] { ++done; });
    EXPECT_EQ(thread.waiting(), 3u);
    go.count_down();
  }
  EXPECT_EQ(done, 3) << "the end waits for what was posted";
}

TEST(WorkThread, ForgetsWhatIsNotBegun) {
  std::latch begun(1);
  std::latch go(1);
  int done = 0;
  WorkThread thread;
  thread.post([&] {
    begun.count_down();
    go.wait();
    ++done;
  });
  thread.post([&] { done += 100; });
  begun.wait();
  thread.clear();
  go.count_down();
  thread.drain();
  EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace mapwatch
