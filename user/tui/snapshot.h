// What top shows, at one moment, as plain data: filled by app/, drawn by render().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mapwatch::tui {

constexpr std::uint64_t kNever = UINT64_MAX;

/// Findings by how long ago they were.
struct Tally {
  std::uint64_t minute = 0;
  std::uint64_t hour = 0;
  std::uint64_t all = 0;
};

/// One side of an overlap.
struct Side {
  std::string op;    ///< "write", "read", ...
  std::string func;  ///< empty: not captured
  std::string file;
  int line = 0;
};

struct Hazard {
  std::string id;
  std::string severity;  ///< "proven", "imminent"
  std::string map_type;  ///< empty: unknown
  std::uint64_t map_addr = 0;
  Tally seen;
  std::uint64_t last_ns = 0;  ///< how long ago it was seen last
  Side sides[2];
};

/// One probed place under the present plan.
struct Site {
  std::string function;  ///< that the probe is in, or that calls the map function
  std::string file;
  int line = 0;
  std::string op;
  std::string place;       ///< "always", "visited", "waiting", "refused"
  std::uint64_t hits = 0;  ///< counted so far
  double hits_per_s = 0;   ///< counted, over the last interval
  double ops_per_s = 0;    ///< while armed: what it does
  double armed_share = 0;  ///< of the time to come
  double cost_share = 0;   ///< of the processes' CPU time
  /// Until a race at it is seen, on average (docs/top.md); kNever: not as things are. nullopt: it is not used.
  std::optional<std::uint64_t> detect_ns;
};

struct Target {
  int pid = 0;
  std::string comm;
  std::string exe;
  std::string go;     ///< "1.26.8"
  std::string mode;   ///< of sampling: "full", "auto 1/200", "1/8"; empty: not watched
  std::string state;  ///< "ok", "race", "crashed: ...", or why it is not watched
  bool watched = false;
  bool crashed = false;
  std::optional<double> ops_per_s;  ///< map operations; nullopt: not known
  std::optional<double>
      writes_per_s;        ///< of these, writes, deletes and clears; only where the process has its sites to itself
  bool estimated = false;  ///< both are reckoned from a part of the operations
  double hits_per_s = 0;   ///< probes it came to, over the last interval
  std::uint64_t hits = 0;
  double cost_share = 0;   ///< of its CPU time, over the last ten seconds
  double budget = 0;       ///< the same, allowed
  double armed_share = 0;  ///< of its sites, each by its share of the time to come
  double seen_share = 0;   ///< of its operations
  std::uint64_t sites = 0;
  bool by_calls = false;      ///< sites are calls, not functions
  std::uint32_t sharing = 1;  ///< processes that share these sites, this one included
  int decides = 0;            ///< of these the one nearest to its bound
  double decides_cost = 0;    ///< of that one's CPU time, over the last ten seconds
  Tally hazards;
  std::uint64_t crashes = 0;
  std::optional<std::uint64_t> last_ns;  ///< how long ago its last finding was
  std::uint64_t age_ns = 0;              ///< of the process
  std::vector<Hazard> found;             ///< the last one first
  std::vector<Site> places;              ///< only where they were asked for
};

struct Host {
  std::string version;
  std::string name;
  std::string kernel;
  std::string attach;  ///< kind of probes
  std::string clock;   ///< "00:14:07"
  std::uint64_t up_ns = 0;
  std::uint64_t found = 0;  ///< processes that were chosen, those that cannot be watched included
  std::uint64_t watched = 0;
  std::uint64_t probes = 0;  ///< armed now
  double hits_per_s = 0;
  std::uint64_t lost = 0;
  double own_cpu = 0;  ///< CPUs, over the last interval
  std::uint64_t own_rss_bytes = 0;
  double cost_share = 0;  ///< of all targets' CPU time, so far
};

struct Snapshot {
  Host host;
  std::vector<Target> targets;
};

}  // namespace mapwatch::tui
