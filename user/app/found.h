// What was found, for top: told by the thread that writes reports, asked by the one that draws.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/recent.h"
#include "correlate/correlator.h"
#include "report/publisher.h"
#include "tui/snapshot.h"

namespace mapwatch::app {

class Found {
 public:
  /// Of more processes, and of more hazards of one, only the counts are kept.
  static constexpr std::size_t kMostProcesses = 1024;
  static constexpr std::size_t kMostHazards = 32;

  /// For Watcher::observe. `report`: as it was written, which names both sides.
  void note(const correlate::Finding& finding, report::Published outcome, const std::optional<report::Report>& report);
  /// Another process has this number now.
  void forget(std::uint32_t tgid);

  /// Puts what was found in `target.pid` into it: hazards, crashes, state. `now_ns`: CLOCK_MONOTONIC.
  void fill(tui::Target& target, std::uint64_t now_ns) const;
  /// The processes that crashed, each with what its crash told of it.
  std::vector<report::ProcessInfo> crashed() const;
  /// Each finding once, as it was first written, in order; of very many, the first.
  std::vector<report::Report> reports() const;

 private:
  struct Hazard {
    tui::Hazard shown;
    Recent recent;
    std::uint64_t count = 0;
    std::uint64_t last_ns = 0;
  };
  struct Process {
    std::vector<Hazard> hazards;
    Recent recent;
    std::uint64_t count = 0;
    std::uint64_t crashes = 0;
    std::uint64_t last_ns = 0;
    std::string severity;      ///< of the last hazard
    std::string crash;         ///< Go's words
    report::ProcessInfo info;  ///< of a process that crashed
  };
  Process* process(std::uint32_t tgid);
  void keep(const std::optional<report::Report>& report);

  mutable std::mutex mutex_;
  std::map<std::uint32_t, Process> processes_;
  std::vector<report::Report> reports_;
};

}  // namespace mapwatch::app
