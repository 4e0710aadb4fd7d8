// What user space tells of the allowance (user/govern/odds.h) is what the allowance does.
#include <gtest/gtest.h>

#include <random>

#include "govern/odds.h"
#include "machine.h"
#include "mapwatch/allowance.h"

namespace mapwatch::bpf_test {
namespace {

const Goroutine kGoroutines[2] = {{0xc000000010ull, 100, 101, 0x401000}, {0xc000000020ull, 100, 102, 0x402000}};

enum class Pause { kEven, kRandom };

/// Two goroutines that come by independently, each `pause_ns` apart on average.
class Comers {
 public:
  Comers(Machine& machine, Pause kind, double pause_ns)
      : machine_(machine), map_(machine.new_map()), kind_(kind), pause_ns_(pause_ns) {
    machine_.hold_all();
    machine_.policies[100].flags = 0;
    next_ns_[0] = static_cast<double>(machine_.now) + pause();
    next_ns_[1] = static_cast<double>(machine_.now) + pause();
  }

  /// Dwells in so many seconds. The machine has one thread: who would come while the other one is held comes another
  /// time.
  double dwells_in(double seconds) {
    const mw_u64 before = machine_.counters.dwells;
    const double end_ns = static_cast<double>(machine_.now) + seconds * 1e9;
    while (static_cast<double>(machine_.now) < end_ns) {
      const std::size_t who = next_ns_[0] < next_ns_[1] ? 0 : 1;
      machine_.now = std::max(machine_.now, static_cast<mw_u64>(next_ns_[who]));
      machine_.hit(kGoroutines[who], MW_OP_WRITE, map_);
      next_ns_[who] = static_cast<double>(machine_.now) + pause();
      if (next_ns_[1 - who] < static_cast<double>(machine_.now)) {
        next_ns_[1 - who] = static_cast<double>(machine_.now) + pause();
      }
    }
    return static_cast<double>(machine_.counters.dwells - before);
  }

 private:
  double pause() {
    return kind_ == Pause::kEven ? std::uniform_real_distribution(0.5, 1.5)(random_) * pause_ns_
                                 : std::exponential_distribution(1 / pause_ns_)(random_);
  }

  Machine& machine_;
  const GoMap& map_;
  const Pause kind_;
  const double pause_ns_;
  std::mt19937_64 random_{42};
  double next_ns_[2] = {};
};

class AllowanceOdds : public testing::TestWithParam<std::tuple<Pause, double>> {
 protected:
  Pause kind() const { return std::get<0>(GetParam()); }
  double pause_ns() const { return std::get<1>(GetParam()); }
  govern::Holding told(const mw_policy& policy) const { return *govern::holding(policy, 2e9 / pause_ns(), {}); }
};

// Each stretch as told, within twice.
TEST_P(AllowanceOdds, HeldAsOftenAsTold) {
  Machine machine;
  Comers comers(machine, kind(), pause_ns());
  mw_policy& policy = machine.policies[100];
  policy.share_ppm = 1'000'000;  // the bucket is no bound, but for its first fill
  policy.burst_ns = 1'000'000'000;
  const govern::Holding free = told(policy);
  const double first_s = 4 * 64 * 50e3 / 1e9 / 2 / (free.stretches[0].held_per_s * free.dwell_ns / 1e9);
  const double first = comers.dwells_in(first_s) / first_s;
  EXPECT_LT(free.stretches[0].held_per_s / first, 2) << "a new pair";
  EXPECT_GT(free.stretches[0].held_per_s / first, 0.5) << "a new pair";
  comers.dwells_in(3 * 4 * static_cast<double>(MW_YOUNG_NS) / 1e9 /
                   (free.stretches[2].held_per_s * free.dwell_ns / 1e9));
  const double later = comers.dwells_in(60) / 60;
  EXPECT_LT(free.stretches[2].held_per_s / later, 2) << "one that was held for long";
  EXPECT_GT(free.stretches[2].held_per_s / later, 0.5) << "one that was held for long";
}

TEST_P(AllowanceOdds, HeldByTheBucketAsTold) {
  Machine machine;
  Comers comers(machine, kind(), pause_ns());
  mw_policy& policy = machine.policies[100];
  policy.share_ppm = 500;
  policy.burst_ns = 2'000'000;
  const govern::Holding poor = told(policy);
  comers.dwells_in(10);
  const mw_u64 before = machine.counters.dwell_ns;
  comers.dwells_in(60);
  const double held_ns = static_cast<double>(machine.counters.dwell_ns - before) / 60;
  EXPECT_LT(poor.stretches[1].held_per_s * poor.dwell_ns / held_ns, 1.5) << "more and shorter dwells meet as often";
  EXPECT_GT(poor.stretches[1].held_per_s * poor.dwell_ns / held_ns, 0.7);
}

INSTANTIATE_TEST_SUITE_P(Pauses, AllowanceOdds,
                         testing::Combine(testing::Values(Pause::kEven, Pause::kRandom),
                                          testing::Values(300e3, 1e6, 3e6, 10e6)));

}  // namespace
}  // namespace mapwatch::bpf_test
