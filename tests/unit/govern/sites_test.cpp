#include "govern/sites.h"

#include <gtest/gtest.h>

namespace mapwatch::govern {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

Sites one_site() {
  const mw_site_class classes[] = {MW_SITE_CALL};
  return Sites(classes, CostModel());
}

TEST(Sites, AnAlwaysOnSiteIsPacedByTheClockOfTheWall) {
  Sites sites = one_site();
  sites.set_place(0, Place::kAlways);
  EXPECT_FALSE(sites.paced_per_s(0, 0, 0));
  // A process that uses a hundredth of a CPU: by its CPU time it would take minutes until the rate is known.
  constexpr std::uint64_t kStep = kSecond / 4;
  std::uint64_t now = 5 * kSecond;
  const std::uint64_t begin = now;
  for (int i = 0; i < 4; ++i) {
    now += kStep;
    sites.pace(0, 20, now, kStep);
  }
  EXPECT_NEAR(*sites.paced_per_s(0, now, now - begin), 80, 8);
  for (int i = 0; i < 40; ++i) {
    now += kStep;
    sites.pace(0, 100, now, kStep);
  }
  EXPECT_NEAR(*sites.paced_per_s(0, now, now - begin), 400, 40);
  now += 30 * kSecond;
  EXPECT_LT(*sites.paced_per_s(0, now, now - begin), 1) << "it is idle by now";
}

TEST(Sites, AVisitedSiteIsPacedByItsVisits) {
  Sites sites = one_site();
  sites.set_place(0, Place::kVisited);
  EXPECT_FALSE(sites.paced_per_s(0, kSecond, kSecond)) << "its first visit is not over";
  sites[0].hits = 50;
  sites.visited(0, 1e6, kSecond / 10);
  EXPECT_NEAR(*sites.paced_per_s(0, kSecond, kSecond / 10), 500, 1);
  for (int i = 0; i < 20; ++i) {
    sites[0].hits = 1;
    sites.visited(0, 1e3, kSecond / 100);
  }
  EXPECT_NEAR(*sites.paced_per_s(0, kSecond, kSecond), 100, 5);
}

}  // namespace
}  // namespace mapwatch::govern
