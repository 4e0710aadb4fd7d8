// Pure: typed events in, findings out. Pairs the two halves of an overlap, fingerprints, dedups, ranks, ties a crash to
// the hazards before it. No clock, no I/O: time comes with the events.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "ingest/event.h"

namespace mapwatch::correlate {

enum class Severity {
  kProven,    ///< a watch overlap: two goroutines were in one map at once
  kImminent,  ///< the writing mark was seen set: Go's own check would have crashed here
};

enum class Attribution {
  kObserved,    ///< that side's own stack
  kLastWriter,  ///< one frame, recorded with the last write
  kUnknown,     ///< nothing known
};

struct Access {
  mw_op op = MW_OP_NONE;
  mw_site_class site_class = MW_SITE_NONE;
  Attribution attribution = Attribution::kObserved;
  std::uint64_t goid = 0;
  std::uint64_t g = 0;
  std::uint32_t tid = 0;  ///< 0 unknown
  std::uint32_t cpu = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t gopc = 0;  ///< 0 unknown
  std::vector<std::uint64_t> stack;
  bool stack_cut = false;
};

/// What the correlator must know of a process to fingerprint; given by the watcher when the target is attached.
struct ProcessContext {
  std::uint32_t tgid = 0;
  std::uint64_t load_bias = 0;  ///< subtracted from pcs, so that PIE binaries fingerprint alike in every process
  std::string build_id;
};

struct Hazard {
  std::string id;  ///< "mw-" + 8 hex digits of the fingerprint
  std::uint64_t fingerprint = 0;
  std::uint32_t tgid = 0;
  std::uint32_t layout = 0;
  std::uint64_t time_ns = 0;  ///< of the kernel event that proved it
  Severity severity = Severity::kProven;
  mw_evidence evidence = MW_EVIDENCE_WATCH;
  std::uint64_t count = 1;  ///< how many times this fingerprint was seen, this one included
  bool print = true;        ///< by dedup: the 1st, 10th, 100th, 1000th, and once a minute
  std::uint64_t map = 0;
  std::uint64_t map_type = 0;
  std::uint64_t map_len = 0;
  std::uint64_t overlap_ns = 0;  ///< how long the first side had been inside when the second came; 0 unknown
  Access accesses[2];            ///< [0] this side (observed, always), [1] the other
};

struct Crash {
  std::string id;
  std::uint32_t tgid = 0;
  std::uint32_t layout = 0;
  std::uint64_t time_ns = 0;
  std::string reason;  ///< Go's string, control characters escaped
  std::string crash_class;  ///< write_write, read_write, iterate_write, clone_write, other
  std::uint64_t map = 0;  ///< 0 unknown
  std::uint64_t map_type = 0;
  std::uint64_t map_len = 0;
  Access access;          ///< the crashing goroutine
  /// The other side as the hazards of this map tell it; unknown when there was none.
  std::optional<Access> other;
  std::optional<std::uint64_t> first_hazard_ns;      ///< event time of this process's first hazard
  std::optional<std::uint64_t> first_map_hazard_ns;  ///< the same, of hazards on this very map
  std::vector<std::string> hazard_ids;               ///< of this process, in order of first sight
};

using Finding = std::variant<Hazard, Crash>;

/// Text of a runtime error -> class; nullopt when it is no concurrent map error.
std::optional<std::string> classify_map_fatal(std::string_view text);

class Correlator {
 public:
  struct Options {
    std::uint64_t pair_timeout_ns = 50'000'000;    ///< a half whose other half has not come by then is reported alone
    std::uint64_t repeat_ns = 60'000'000'000;      ///< a known hazard is printed again after this long
    std::size_t max_fingerprints = 65536;          ///< bound on memory; the oldest is forgotten and counted
    bool all_fatals = false;                       ///< --on-fatal all: crashes that are no map errors, too
  };
  Correlator();
  explicit Correlator(Options options);

  void set_process(const ProcessContext& process);
  /// A process that is gone: its pending halves are settled and its state is forgotten (after `add` of its exit).
  std::vector<Finding> forget_process(std::uint32_t tgid);

  /// Findings that this event completes, in order.
  std::vector<Finding> add(const ingest::Event& event);
  /// Settles halves older than pair_timeout_ns at `now_ns` (CLOCK_MONOTONIC). Call on a timer and at the end (UINT64_MAX).
  std::vector<Finding> settle(std::uint64_t now_ns);

  /// Distinct hazards so far.
  std::uint64_t hazards() const;
  std::uint64_t crashes() const;
  /// Halves whose partner never came.
  std::uint64_t lost_halves() const;

 private:
  struct Pending;
  struct Process;
  struct Seen;
  Options options_;
  // Implementation members belong to correlator.cpp's author; keep them private and named x_.
};

}  // namespace mapwatch::correlate
