#include "report/printed_log.h"

#include <algorithm>

namespace mapwatch::report {
namespace {
constexpr std::size_t kMaxIds = 64;
constexpr std::size_t kMaxMaps = 4096;
constexpr std::size_t kMaxProcesses = 2 * MW_MAX_TARGETS;
}  // namespace

void PrintedLog::note(std::uint32_t tgid, const HazardReport& hazard) {
  if (processes_.size() >= kMaxProcesses && !processes_.contains(tgid)) {
    processes_.erase(processes_.begin());
  }
  Process& process = processes_[tgid];
  const bool known = std::any_of(process.hazards.begin(), process.hazards.end(),
                                 [&](const PriorHazard& printed) { return printed.id == hazard.id; });
  if (!known && process.hazards.size() < kMaxIds) {
    process.hazards.push_back({hazard.id,
                               hazard.time_ns,
                               hazard.printed_ns,
                               hazard.map.addr,
                               {hazard.accesses[0].op, hazard.accesses[1].op}});
  }
  if (process.maps.size() < kMaxMaps) {
    process.maps.emplace(hazard.map.addr, hazard.printed_ns);
  }
}

PrintedLog::Lead PrintedLog::lead(std::uint32_t tgid, std::uint64_t map, std::uint64_t crash_ns) const {
  Lead lead;
  const auto found = processes_.find(tgid);
  if (found == processes_.end()) {
    return lead;
  }
  lead.all = found->second.hazards;
  for (const PriorHazard& printed : found->second.hazards) {
    if (printed.printed_ns < crash_ns) {
      lead.process_ns = std::max(lead.process_ns.value_or(0), crash_ns - printed.printed_ns);
      lead.ids.push_back(printed.id);
    }
  }
  const auto of_map = found->second.maps.find(map);
  if (map != 0 && of_map != found->second.maps.end() && of_map->second < crash_ns) {
    lead.map_ns = crash_ns - of_map->second;
  }
  return lead;
}

void PrintedLog::forget_process(std::uint32_t tgid) { processes_.erase(tgid); }

}  // namespace mapwatch::report
