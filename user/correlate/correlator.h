// Pure: typed events in, findings out. Pairs the two halves of an overlap, fingerprints, dedups, ranks, ties a crash to
// the hazards before it. No clock, no I/O: time comes with the events.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
  kInside,      ///< its whole stack as the process stood still: it was in the operation. Of crashes, never a finding's
};

/// Whether both halves of an overlap arrived.
enum class Partner {
  kComplete,      ///< both halves, or a mark, which has one
  kLost,          ///< the other half never came (ring full)
  kCrashBetween,  ///< the process reached its fatal path before the other half was sent
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
  std::uint64_t count = 1;  ///< how many times this fingerprint was seen in this process, this one included
  bool print = true;        ///< by dedup within the process: the 1st, 10th, 100th, 1000th, and once a minute
  std::uint64_t map = 0;
  std::uint64_t map_type = 0;
  std::uint64_t map_type_other = 0;  ///< the other side's, when it differs: Go 1.18/1.19 generics pass a shape type
  std::uint64_t map_len = 0;
  std::uint64_t overlap_ns = 0;  ///< how long the first side had been inside when the second came; 0 unknown
  Partner partner = Partner::kComplete;
  Access accesses[2];  ///< [0] the visitor, which arrived second (observed, always), [1] the one inside
};

struct Crash {
  std::string id;
  std::uint32_t tgid = 0;
  std::uint32_t layout = 0;
  std::uint64_t time_ns = 0;
  std::string reason;       ///< Go's string, control characters escaped
  std::string crash_class;  ///< write_write, read_write, iterate_write, clone_write, other
  std::uint64_t map = 0;    ///< 0 unknown
  /// The crashing frame did not tell its map; `map` is that of this goroutine's hazard at the very same call, at most
  /// a millisecond before.
  bool map_by_hazard = false;
  /// No probe told the map: the arguments of the crashing call did, as its code proves.
  bool map_by_arguments = false;
  std::uint64_t map_type = 0;
  std::optional<std::uint64_t> map_len;  ///< as the last hazard of this map told it
  Access access;                         ///< the crashing goroutine
  /// The other side as the hazards of this map tell it; unknown when there was none.
  std::optional<Access> other;
  std::optional<std::uint64_t> first_hazard_ns;      ///< event time of this process's first hazard
  std::optional<std::uint64_t> first_map_hazard_ns;  ///< the same, of hazards on this very map
  std::vector<std::string> hazard_ids;               ///< of this process, in order of first sight
  std::optional<std::uint64_t> frozen_ns;            ///< how long the process was held; the watcher's to fill
};

using Finding = std::variant<Hazard, Crash>;

/// Text of a runtime error -> class; nullopt when it is no concurrent map error.
std::optional<std::string> classify_map_fatal(std::string_view text);

/// The class of the crash that these two would be: one of those above.
std::string_view classify_pair(mw_op one, mw_op other);

/// True for the operations that set Go's writing mark: write, delete, clear.
bool mutates(mw_op op);

class Correlator {
 public:
  struct Options {
    std::uint64_t pair_timeout_ns = 50'000'000;  ///< a half whose other half has not come by then is reported alone
    std::uint64_t repeat_ns = 60'000'000'000;    ///< a known hazard is printed again after this long
    std::size_t max_fingerprints = 65536;        ///< bound on memory; the oldest is forgotten and counted
    std::size_t max_pending = 16384;             ///< halves that wait at once; beyond, the oldest is settled early
    bool all_fatals = false;                     ///< --on-fatal all: crashes that are no map errors, too
  };
  Correlator();
  explicit Correlator(Options options);
  Correlator(Correlator&&) noexcept;
  Correlator& operator=(Correlator&&) noexcept;
  ~Correlator();

  /// Call before the first event of the process. Called again with another build id or load bias (an exec), what was
  /// known of the process is forgotten.
  void set_process(const ProcessContext& process);
  /// A process that is gone: its pending halves are settled and its state is forgotten (after `add` of its exit).
  std::vector<Finding> forget_process(std::uint32_t tgid);

  /// Findings that this event completes, in order.
  std::vector<Finding> add(const ingest::Event& event);
  /// Settles halves older than pair_timeout_ns at `now_ns` (CLOCK_MONOTONIC). Call on a timer and at the end
  /// (UINT64_MAX).
  std::vector<Finding> settle(std::uint64_t now_ns);

  /// Distinct hazards (fingerprints) so far, over all processes.
  std::uint64_t hazards() const;
  /// Processes that reached the fatal path of a concurrent map error (of any, with all_fatals).
  std::uint64_t crashes() const;
  /// Halves whose partner never came.
  std::uint64_t lost_halves() const;
  /// Pairs that are no overlap (one goroutine, two readers, two maps): the kernel side never sends them; dropped.
  std::uint64_t void_pairs() const;
  /// Fingerprints forgotten by the bound on memory: counts restart for them.
  std::uint64_t forgotten() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mapwatch::correlate
