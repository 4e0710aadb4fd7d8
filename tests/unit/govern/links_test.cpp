// How many links stand after a long time: each is a file descriptor here and a list in the kernel.
#include <gtest/gtest.h>

#include "govern/programs.h"

namespace mapwatch::govern {
namespace {

using namespace sim;

class LongRun : public testing::TestWithParam<std::size_t> {};

TEST_P(LongRun, LinksStayFew) {
  const Program& program = measured_programs()[GetParam()];
  // Another set of hot sites every seven seconds, and an idle time: sites lose their place and come back all the while.
  const Phase busy = phase_of(program, 0.4, 2, 1);
  const Phase other = phase_of(program, 0.2, 2, 2);
  Settings settings;
  settings.seed = 3;
  Simulation simulation(settings, std::vector<mw_site_class>(program.sites, MW_SITE_CALL),
                        {in_turn({busy, other, Phase{0.01, 0, 1, {}}}, 7 * kSecond)});
  std::size_t most = 0;
  std::size_t early = 0;
  for (std::uint64_t minute = 1; minute <= 60; ++minute) {
    simulation.run_until(minute * 60 * kSecond);
    most = std::max(most, simulation.planner().links().size());
    early = minute <= 30 ? most : early;
  }
  EXPECT_LE(most, program.sites / 64 + 16);
  EXPECT_LE(most, early + early / 10) << "the second half hour needed more than the first, trials and visits apart";
}

INSTANTIATE_TEST_SUITE_P(Programs, LongRun, testing::Range<std::size_t>(0, 5),
                         [](const auto& index) { return measured_programs()[index.param].name; });

}  // namespace
}  // namespace mapwatch::govern
