// What the governor's planner takes of mapwatch's own time: a host of 200 targets of 5,199 sites each, ticked in turn.
#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <vector>

#include "govern/programs.h"
#include "govern/random.h"

namespace mapwatch::govern {
namespace {

using sim::kMs;
using sim::kSecond;

constexpr std::size_t kTargets = 200;

/// A target whose plan is carried out at once.
class Target {
 public:
  Target(std::uint64_t seed, const std::vector<mw_site_class>& classes)
      : planner_(settings(seed), classes), random_(seed + 1), site_links_(classes.size()) {}

  /// Hits of the sites that are armed, over the time since the last tick.
  void prepare(const sim::Phase& phase, std::uint64_t now_ns) {
    const double seconds = static_cast<double>(now_ns - now_ns_) / 1e9;
    hits_.clear();
    for (const sim::Rate& rate : phase.rates) {
      if (site_links_[rate.site] > 0) {
        const double mean = rate.per_s * seconds;
        const auto count = static_cast<std::uint64_t>(mean + random_.unit());
        if (count > 0) {
          hits_.push_back({rate.site, count, 0});
        }
      }
    }
    member_.member = 1;
    member_.cpu_ns = static_cast<std::uint64_t>(phase.cpus * seconds * 1e9);
    member_.cpus = 2;
    now_ns_ = now_ns;
  }

  void tick() {
    Sample sample;
    sample.now_ns = now_ns_;
    sample.hits = hits_;
    sample.members = {&member_, 1};
    sample.done = done_;
    plan_ = planner_.tick(sample);
  }

  void carry_out() {
    done_.clear();
    for (const Action& action : plan_.actions) {
      if (action.kind == ActionKind::kKeep) {
        continue;
      }
      const bool attach = action.kind == ActionKind::kAttach;
      if (attach) {
        links_[action.link] = action.sites;
      }
      for (const SiteId site : links_[action.link]) {
        site_links_[site] += attach ? 1 : -1;
      }
      if (!attach) {
        links_.erase(action.link);
      }
      done_.push_back({action.link, attach, false, now_ns_, now_ns_});
    }
    for (const MemberLimits& limits : plan_.limits) {
      member_.epoch = limits.epoch;
    }
  }

  std::size_t hit_sites() const { return hits_.size(); }

 private:
  static Settings settings(std::uint64_t seed) {
    Settings out;
    out.seed = seed;
    return out;
  }

  Planner planner_;
  Random random_;
  std::vector<int> site_links_;
  std::map<LinkId, std::vector<SiteId>> links_;
  std::vector<SiteHits> hits_;
  std::vector<LinkDone> done_;
  MemberSample member_;
  Plan plan_;
  std::uint64_t now_ns_ = 100 * kSecond;
};

void tick_of_a_host(benchmark::State& state) {
  const auto period_ns = static_cast<std::uint64_t>(state.range(0)) * kMs;
  const sim::Program& etcd = sim::measured_programs()[0];
  const std::vector<mw_site_class> classes(etcd.sites, MW_SITE_CALL);
  std::vector<sim::Phase> phases;
  std::vector<std::unique_ptr<Target>> targets;
  for (std::uint64_t seed = 0; seed < kTargets; ++seed) {
    phases.push_back(sim::phase_of(etcd, 1.8, 2, seed));
    targets.push_back(std::make_unique<Target>(seed, classes));
  }
  std::uint64_t now_ns = 100 * kSecond;
  const auto next = [&](bool measured) {
    now_ns += period_ns;
    for (std::size_t i = 0; i < kTargets; ++i) {
      targets[i]->prepare(phases[i], now_ns);
    }
    if (measured) {
      state.ResumeTiming();
    }
    for (const auto& target : targets) {
      target->tick();
    }
    if (measured) {
      state.PauseTiming();
    }
    for (const auto& target : targets) {
      target->carry_out();
    }
  };
  while (now_ns < 112 * kSecond) {
    next(false);
  }
  double hit_sites = 0;
  std::size_t rounds = 0;
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    next(true);
    for (const auto& target : targets) {
      hit_sites += static_cast<double>(target->hit_sites());
    }
    ++rounds;
    state.ResumeTiming();
  }
  state.counters["hit_sites"] = hit_sites / static_cast<double>(rounds * kTargets);
  state.counters["per_tick"] = benchmark::Counter(static_cast<double>(rounds * kTargets),
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

BENCHMARK(tick_of_a_host)->Arg(100)->Arg(1000)->ArgName("period_ms")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mapwatch::govern

BENCHMARK_MAIN();
