#include "govern/programs.h"

#include <algorithm>
#include <cmath>

#include "govern/random.h"

namespace mapwatch::govern::sim {

namespace {

constexpr double kColdPerS = 200;

/// Adds sites [first, first + count) of `order`, whose rates fall by `ratio` each and sum up to `total`.
void add_falling(Phase& phase, const std::vector<SiteId>& order, std::size_t first, std::size_t count, double total,
                 double ratio) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    sum += std::pow(ratio, static_cast<double>(i)) + 0.01;
  }
  for (std::size_t i = 0; i < count; ++i) {
    phase.rates.push_back({order[first + i], total * (std::pow(ratio, static_cast<double>(i)) + 0.01) / sum, 0});
  }
}

}  // namespace

const std::vector<Program>& measured_programs() {
  static const std::vector<Program> programs = {
      {"etcd", 5199, 836'000, 0.832, 5041, 3523},      {"nats", 4432, 535'000, 0.997, 4388, 2020},
      {"tsdb", 7288, 998'000, 0.998, 7267, 3317},      {"badger", 1735, 1'283'000, 1, 1710, 309},
      {"esbuild", 2721, 1'704'000, 0.768, 2547, 6234},
  };
  return programs;
}

Phase phase_of(const Program& program, double cpus, double most_cpus, std::uint64_t seed) {
  Random random(seed);
  std::vector<SiteId> order(program.sites);
  for (SiteId id = 0; id < program.sites; ++id) {
    order[id] = id;
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::swap(order[i], order[i + random.next() % (order.size() - i)]);
  }
  Phase phase;
  phase.cpus = cpus;
  phase.most_cpus = most_cpus;
  phase.dwells = 1;
  const std::size_t hot = program.sites - program.cold;
  const std::size_t top = std::min<std::size_t>(50, hot);
  const double hot_hits = program.hits_per_s - program.cold_hits_per_s;
  const double top_hits = hot > top ? program.hits_per_s * program.top_50 : hot_hits;
  add_falling(phase, order, 0, top, top_hits, 0.93);
  add_falling(phase, order, top, hot - top, hot_hits - top_hits, 0.96);
  // One cold site in four is hit at all.
  add_falling(phase, order, hot, program.cold / 4, program.cold_hits_per_s, 1 - 4.0 / program.cold);
  return phase;
}

std::vector<SiteId> cold_sites(const std::vector<Phase>& phases, std::uint32_t sites) {
  std::vector<bool> hot(sites);
  for (const Phase& phase : phases) {
    for (const Rate& rate : phase.rates) {
      hot[rate.site] = hot[rate.site] || rate.per_s >= kColdPerS;
    }
  }
  std::vector<SiteId> out;
  for (SiteId id = 0; id < sites; ++id) {
    if (!hot[id]) {
      out.push_back(id);
    }
  }
  return out;
}

}  // namespace mapwatch::govern::sim
