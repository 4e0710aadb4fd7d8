// From a finding to the report that the printers write: symbols, process, wall clock, lead. No clock, no I/O.
#pragma once

#include <cstdint>

#include "correlate/correlator.h"
#include "report/printed_log.h"
#include "report/report.h"
#include "symbolize/symbolizer.h"

namespace mapwatch::report {

/// What the reports say of a process.
struct Subject {
  ProcessInfo info;
  std::int64_t wall_offset_ns = 0;  ///< CLOCK_REALTIME - CLOCK_MONOTONIC when it was attached
};

HazardReport build_hazard(const correlate::Hazard& hazard, symbolize::Symbolizer& symbols, const Subject& subject);

/// `printed` is asked for the lead; dossier is the caller's to fill.
CrashReport build_crash(const correlate::Crash& crash, symbolize::Symbolizer& symbols, const Subject& subject,
                        const PrintedLog& printed);

/// What a goroutine with this stack does to a map, by the runtime's function names (Go 1.17-1.27); NONE when no frame
/// tells.
mw_op op_of_stack(const std::vector<symbolize::Frame>& stack);

}  // namespace mapwatch::report
