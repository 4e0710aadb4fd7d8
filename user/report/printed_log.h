// When hazards left mapwatch: what the lead of a crash is counted from. A hazard that was seen but not yet printed when
// the process died warned nobody.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "report/report.h"

namespace mapwatch::report {

class PrintedLog {
 public:
  struct Lead {
    std::optional<std::uint64_t> process_ns;  ///< from the first printed hazard of the process to the crash
    std::optional<std::uint64_t> map_ns;      ///< the same, of the very map
    std::vector<std::string> ids;             ///< printed before the crash, in order
    std::vector<PriorHazard> all;             ///< printed so far, in order; at most 64
  };

  /// A hazard of process `tgid` was written, at hazard.printed_ns.
  void note(std::uint32_t tgid, const HazardReport& hazard);
  Lead lead(std::uint32_t tgid, std::uint64_t map, std::uint64_t crash_ns) const;
  void forget_process(std::uint32_t tgid);

 private:
  struct Process {
    std::vector<PriorHazard> hazards;                       ///< the first time of each id
    std::unordered_map<std::uint64_t, std::uint64_t> maps;  ///< map address -> first time
  };
  std::map<std::uint32_t, Process> processes_;
};

}  // namespace mapwatch::report
