// Totals by executable, which outlive its processes. Told by the thread that writes reports and by the one that
// watches; pure otherwise: time is an argument.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "metrics/snapshot.h"

namespace mapwatch::metrics {

/// A process that is watched.
struct Process {
  std::uint32_t tgid = 0;
  std::uint64_t start_time = 0;  ///< tells it from an earlier one of this number
  std::string exe;
  std::string go_version;
  std::string mode;     ///< "auto 1/200": only the first word is told
  double overhead = 0;  ///< share of its CPU time
  double budget = 0;
  double seen_share = 1;
};

/// An executable's path, fit for a label; "unknown" for none.
std::string exe_label(std::string_view exe);

class Ledger {
 public:
  /// Executables with a label of their own, at most: a host that builds and tests runs a new one every second.
  static constexpr std::size_t kMostExes = 200;
  /// So long a label is kept of an executable without a process, in which nothing was found.
  static constexpr double kForgetS = 600;
  static constexpr std::size_t kMostInfos = 8;
  static constexpr std::size_t kMostIds = 65536;
  static constexpr std::size_t kMostLabel = 256;

  /// Findings, from any thread. `kind`, `severity`, `reason`: names of names.h.
  void hazard(std::string_view exe, std::uint32_t tgid, std::string_view id, std::string_view kind,
              std::string_view severity);
  void suppressed(std::string_view exe);
  /// `frozen_ns`: nullopt: the process was not held.
  void crash(std::string_view exe, std::uint32_t tgid, std::string_view reason, std::optional<std::uint64_t> frozen_ns,
             bool dossier);
  /// A finding could not be written.
  void lost();

  /// All that are watched now, about once a second; `now_s`: any clock that does not go back.
  void tick(double now_s, std::span<const Process> processes);

  /// Puts what it holds into a snapshot; `other` comes last.
  void fill(Snapshot& snapshot) const;

 private:
  struct Entry {
    Exe exe;
    double last_s = 0;  ///< when a process of it was seen, or it was found
    bool found = false;
  };
  struct Seen {
    std::uint64_t start_time = 0;
    bool here = false;
  };
  Entry& entry(std::string_view exe);
  bool make_room();

  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;  ///< by label
  std::map<std::uint32_t, Seen> seen_;    ///< at the last tick, by tgid
  /// What came to pass in a process since the last tick: it was watched then, though no tick may see it.
  struct Lately {
    std::string exe;
    bool hazard = false;
  };
  std::map<std::uint32_t, Lately> lately_;  ///< by tgid
  std::unordered_set<std::string> ids_;
  Counts<kDossiers> dossiers_ = {};
  Histogram frozen_;
  std::uint64_t lost_ = 0;
  double now_s_ = 0;
};

}  // namespace mapwatch::metrics
