// Objectives of a service, as a YAML file says them (docs/gate.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mapwatch::ops {

/// What an objective is about. Each is a value over a window of time, and how much of it is allowed.
enum class Source {
  kHazards,   ///< share of the watched time in which concurrent map access was seen; allowed: 1 - target
  kCrashes,   ///< crashes of a process in a day; allowed: most
  kOverhead,  ///< share of its CPU time that the dearest process pays for being watched; allowed: most
  kRatio,     ///< errors of all, by two queries; allowed: 1 - target
  kLatency,   ///< share of the time in which a query's value was above `most` seconds; allowed: 1 - target
};

struct Objective {
  std::string name;
  Source source = Source::kHazards;
  std::string exe;  ///< glob over mapwatch's `exe` label; empty: all
  double target = 0;
  double most = 0;          ///< kCrashes: of a process in a day; kOverhead: a share; kLatency: seconds
  std::string query;        ///< kLatency: PromQL whose value is in seconds
  std::string error_query;  ///< kRatio: PromQL of errors, with [$window] for the range
  std::string total_query;  ///< kRatio: of all

  /// How much of the value is no harm; above 0.
  double allowed() const;
};

struct Slo {
  std::string service;
  std::uint64_t window_s = 30 * 86'400;
  double warn_below = 0.25;  ///< a warning when less than this share of the budget is left
  std::vector<Objective> objectives;
};

/// Reads the text of an SLO file; `name` stands in front of errors. kUsage for what is no YAML, an unknown key, a
/// missing one, a value out of its bounds, two objectives of one name, or none at all.
Result<Slo> parse_slo(std::string_view text, const std::string& name);

/// Reads and parses the file at `path`. kUsage also when it cannot be read or is larger than 1 MiB.
Result<Slo> read_slo(const std::string& path);

}  // namespace mapwatch::ops
