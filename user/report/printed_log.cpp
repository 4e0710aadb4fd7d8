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
                                 [&](const Printed& printed) { return printed.id == hazard.id; });
  if (!known && process.hazards.size() < kMaxIds) {
    process.hazards.push_back({hazard.id, hazard.printed_ns});
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
  for (const Printed& printed : found->second.hazards) {
    if (printed.at_ns < crash_ns) {
      lead.process_ns = std::max(lead.process_ns.value_or(0), crash_ns - printed.at_ns);
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
