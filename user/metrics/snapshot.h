// What is known at one moment, as plain data: filled by app/, written by to_text(). Counts never go down while mapwatch
// runs, whatever ends or is loaded anew.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "metrics/histogram.h"
#include "metrics/names.h"

namespace mapwatch::metrics {

/// What is told of the processes of one executable that are there now.
struct TargetInfo {
  std::string go_version;
  std::string mode;   ///< of sampling: "full", "auto", "1/8"
  std::string state;  ///< "watched"
  auto operator<=>(const TargetInfo&) const = default;
};

struct Exe {
  std::string label;  ///< its path, fit for a label; "other": of all that have none of their own
  std::array<std::array<std::uint64_t, kSeverities.size()>, kKinds.size()> hazards = {};  ///< sightings
  Counts<kReasons> crashes = {};
  std::uint64_t suppressed = 0;  ///< sightings that a suppression hid
  double watched_s = 0;          ///< summed over its processes
  double hazard_s = 0;           ///< of these, in which a hazard was seen
  // Of those that run now.
  std::uint64_t processes = 0;
  double overhead = 0;    ///< of its CPU time, of the process that pays most for its budget
  double budget = 0;      ///< of that process
  double seen_share = 1;  ///< of the operations, where it is least
  std::set<TargetInfo> infos;
};

/// mapwatch's own process.
struct OwnProcess {
  double cpu_s = 0;
  double start_s = 0;  ///< since 1970
  std::uint64_t rss_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
  std::uint64_t threads = 0;
};

/// How it stands with a receiver of findings.
struct Sends {
  Counts<kSends> tries = {};
  std::uint64_t waiting = 0;        ///< notifications, now
  std::uint64_t waiting_bytes = 0;  ///< likewise
  std::uint64_t dropped = 0;        ///< for want of room
  std::uint64_t unkept = 0;         ///< times that the disk did not take what waits
};

struct Snapshot {
  double time_s = 0;  ///< since 1970
  std::string version;
  std::vector<Exe> exes;
  std::uint64_t hazard_sites = 0;  ///< distinct hazards, as the summary counts them
  Counts<kDossiers> dossiers = {};
  Histogram frozen;

  std::uint64_t watched = 0;  ///< processes, now
  std::uint64_t refused = 0;  ///< that were chosen and cannot be watched, now
  Counts<kProcesses> processes = {};
  Counts<kAttachErrors> attach_errors = {};
  Histogram attach;

  std::uint64_t operations = 0;  ///< map operations that a probe saw
  std::uint64_t dwells = 0;
  double held_s = 0;           ///< goroutines, in all
  std::uint64_t bpf_runs = 0;  ///< of BPF programs; 0: the kernel does not count
  double bpf_run_s = 0;
  std::uint64_t symbol_cache_bytes = 0;
  Counts<kProbes> probe_hits = {};
  Counts<kProbes> probes = {};  ///< armed now

  std::uint64_t events = 0;  ///< taken from the ring
  Counts<kStages> lost = {};
  std::optional<double> last_event_s;  ///< since 1970
  std::uint64_t ring_bytes = 0;
  std::uint64_t ring_used_bytes = 0;
  std::uint64_t queue_length = 0;  ///< findings that wait to be written

  std::array<Sends, kReceivers.size()> sends = {};
  Counts<kCommands> commands = {};
  Counts<kEntries> entries = {};  ///< of the journal

  bool reload_good = true;  ///< the last try
  double reload_s = 0;      ///< when the configuration in force was read, since 1970
  std::uint64_t reloads_good = 0;
  std::uint64_t reloads_bad = 0;
  OwnProcess own;
};

}  // namespace mapwatch::metrics
