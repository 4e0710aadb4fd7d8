// Findings as those who are told of them read them: labels and annotations of alerts, fields of the journal.
#pragma once

#include <string>
#include <vector>

#include "alert/alert.h"
#include "correlate/correlator.h"
#include "report/report.h"

namespace mapwatch::app {

/// What a finding is, whatever process it was seen in: alertname, severity (warning, of a crash critical), exe, id,
/// kind (write_write...), instance (this host).
alert::Labels labels_of(const correlate::Finding& finding, const report::ProcessInfo& process,
                        const std::string& instance);

/// What is told of it: summary, the compact form; description, the text form; pid, go, build_id, cgroup, map_type, and
/// of a crash reason and dossier.
alert::Labels annotations_of(const report::Report& report, const report::Style& style);

/// CLOCK_REALTIME of what it tells of; 0 for what is no finding.
std::int64_t wall_ns_of(const report::Report& report);

/// "NAME=VALUE" as systemd.journal-fields(7) has them, with those of mapwatch's own (MAPWATCH_*). OBJECT_PID makes
/// journald add the process's unit, so that `journalctl -u` of that unit shows it. Empty for what is no finding.
std::vector<std::string> journal_fields(const report::Report& report, const report::Style& style);

}  // namespace mapwatch::app
