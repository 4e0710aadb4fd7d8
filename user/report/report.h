// A report is a value, complete and symbolised; the printers (text, compact, JSON) hold no logic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "correlate/correlator.h"
#include "symbolize/symbolizer.h"

namespace mapwatch::report {

struct ProcessInfo {
  std::uint32_t pid = 0;     ///< in mapwatch's PID namespace
  std::uint32_t ns_pid = 0;  ///< in the target's own
  std::string exe;
  std::string go;  ///< "go1.26.8", with "unverified " in front when newer than the table
  std::string build_id;
  std::string cgroup;
};

struct MapInfo {
  std::uint64_t addr = 0;  ///< 0 unknown
  std::string type;        ///< empty unknown
  std::optional<std::uint64_t> len;
};

struct AccessReport {
  mw_op op = MW_OP_NONE;
  correlate::Attribution attribution = correlate::Attribution::kObserved;
  std::uint64_t goid = 0;
  std::uint32_t tid = 0;
  std::uint64_t time_ns = 0;            ///< CLOCK_MONOTONIC, when it began; 0: not noted
  std::vector<symbolize::Frame> stack;  ///< empty: not captured
  bool stack_cut = false;
  std::optional<symbolize::Frame> created_by;
};

struct HazardReport {
  std::string id;
  std::uint64_t time_ns = 0;     ///< CLOCK_MONOTONIC
  std::int64_t wall_ns = 0;      ///< CLOCK_REALTIME of the same instant
  std::uint64_t printed_ns = 0;  ///< CLOCK_MONOTONIC when it leaves mapwatch; set by the writer
  correlate::Severity severity = correlate::Severity::kProven;
  mw_evidence evidence = MW_EVIDENCE_WATCH;
  std::uint64_t count = 1;
  std::uint64_t overlap_ns = 0;
  std::uint64_t lost_events = 0;  ///< on the whole run so far: what is not known may be more
  correlate::Partner partner = correlate::Partner::kComplete;
  ProcessInfo process;
  MapInfo map;
  AccessReport accesses[2];
};

/// A hazard of the process that crashed, told before its crash was.
struct PriorHazard {
  std::string id;
  std::uint64_t time_ns = 0;     ///< when it was seen first, CLOCK_MONOTONIC
  std::uint64_t printed_ns = 0;  ///< when that had left mapwatch; may be after the crash
  std::uint64_t map = 0;
  mw_op ops[2] = {MW_OP_NONE, MW_OP_NONE};
};

struct CrashReport {
  std::string id;
  std::uint64_t time_ns = 0;
  std::int64_t wall_ns = 0;
  std::uint64_t printed_ns = 0;
  std::string reason;
  std::string crash_class;
  std::optional<std::uint64_t> lead_ns;      ///< from the first hazard of this process printed before, to the crash
  std::optional<std::uint64_t> map_lead_ns;  ///< the same, of hazards on this very map
  ProcessInfo process;
  MapInfo map;
  bool map_by_hazard = false;     ///< see correlate::Crash
  bool map_by_arguments = false;  ///< likewise
  mw_op op = MW_OP_NONE;          ///< what the crashing goroutine did to the map; NONE: not told by its stack
  std::uint64_t goid = 0;
  std::uint32_t tid = 0;
  std::vector<symbolize::Frame> stack;
  bool stack_cut = false;
  std::optional<symbolize::Frame> created_by;
  std::optional<AccessReport> other;
  std::vector<std::string> hazard_ids;  ///< printed before the crash, in order of first sight
  std::vector<PriorHazard> prior;       ///< these, and those that were printed between the crash and its report
  std::optional<std::string> dossier;
  std::optional<std::uint64_t> frozen_ns;
};

struct LostReport {
  std::string stage;  ///< ring, table, export
  std::uint64_t count = 0;
};

/// What a process paid and how likely a race in it was to be seen, at the end.
struct TargetSummary {
  std::uint32_t pid = 0;
  std::string exe;
  std::string mode;  ///< of sampling: "full", "auto 1/200"
  std::uint64_t sites = 0;
  bool by_calls = false;  ///< sites are calls of map functions, else the functions
  std::uint64_t sites_always = 0;
  std::uint64_t sites_visited = 0;
  double armed_share = 0;  ///< of the sites, each by its share of the time
  double seen_share = 0;   ///< of the operations
  double cost = 0;         ///< of its CPU time, over the last ten seconds
  double budget = 0;
  std::uint64_t sites_used = 0;                 ///< that worked, of which the times can be told
  std::uint64_t sites_never = 0;                ///< of these, where no race would have been seen
  std::optional<std::uint64_t> detect_half_ns;  ///< at half of them a race is seen within this, on average
  std::optional<std::uint64_t> detect_most_ns;  ///< at 95 % of them
  /// Processes of its file that share its probes, itself included: what is armed for one traps in all of them, and each
  /// is charged for its own hits.
  std::uint64_t sharing = 1;
  std::uint32_t decides = 0;  ///< of these the one nearest to its bound, which bounds what is armed for all
  double decides_cost = 0;    ///< of that one's CPU time, over the last ten seconds
};

struct SummaryReport {
  std::uint64_t duration_ns = 0;
  std::uint64_t hits = 0;
  std::uint64_t dwells = 0;
  std::uint64_t hazards = 0;
  std::uint64_t crashes = 0;
  std::uint64_t lost = 0;
  std::uint64_t sites = 0;
  std::uint64_t sites_armed = 0;
  double armed_share = 0;
  double ns_per_hit = 0;
  double target_cost = 0;
  double own_cpu_s = 0;
  std::uint64_t own_rss_bytes = 0;
  std::uint64_t suppressed = 0;
  std::vector<TargetSummary> targets;  ///< none in a replay
};

using Report = std::variant<HazardReport, CrashReport, LostReport, SummaryReport>;

/// How reports are written.
struct Style {
  bool color = false;
  bool timestamps = false;        ///< -T, text forms only
  std::string strip_path_prefix;  ///< --strip-path-prefix
};

/// Each gives the whole text of one object, its final newline included; one write(2) sends it.
std::string to_text(const Report& report, const Style& style);
std::string to_compact(const Report& report, const Style& style);
std::string to_json(const Report& report, const Style& style);

}  // namespace mapwatch::report
