// Modelled programs: the distributions of hits over call sites that were measured (design.md section 4).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "govern/simulation.h"

namespace mapwatch::govern::sim {

struct Program {
  std::string name;
  std::uint32_t sites = 0;
  double hits_per_s = 0;
  double top_50 = 0;           ///< their part of the hits
  std::uint32_t cold = 0;      ///< sites of under 200 hits/s
  double cold_hits_per_s = 0;  ///< of all of these
};

/// etcd, NATS, Prometheus' TSDB, badger, esbuild.
const std::vector<Program>& measured_programs();

/// The hot sites lie where the seed says, spread over all of the text, which is the dearest case: most links hold one.
Phase phase_of(const Program& program, double cpus, double most_cpus, std::uint64_t seed);

/// Sites that have under 200 hits/s in each of the phases.
std::vector<SiteId> cold_sites(const std::vector<Phase>& phases, std::uint32_t sites);

}  // namespace mapwatch::govern::sim
