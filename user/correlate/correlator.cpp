#include "correlate/correlator.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/escape.h"
#include "correlate/dedup.h"
#include "correlate/fingerprint.h"
#include "correlate/hazards.h"
#include "correlate/history.h"
#include "correlate/pairing.h"

namespace mapwatch::correlate {

using ingest::AccessEvent;
using ingest::FatalEvent;

namespace {
constexpr std::size_t kMaxProcesses = 2 * MW_MAX_TARGETS;
constexpr std::size_t kMaxMaps = 4096;
constexpr std::size_t kMaxIdsPerProcess = 64;
// A goroutine held at a hazard goes on after 200 us and then meets Go's own check, in the same operation.
constexpr std::uint64_t kSameCallNs = 1'000'000;
}  // namespace

class Correlator::Impl {
 public:
  explicit Impl(Options options)
      : options_(options),
        pairing_(options.max_pending),
        dedup_(options.max_fingerprints, options.repeat_ns),
        history_(kMaxMaps) {}

  void set_process(const ProcessContext& context) {
    Process& process = process_of(context.tgid);
    if (process.known &&
        (process.context.build_id != context.build_id || process.context.load_bias != context.load_bias)) {
      drop_state(context.tgid);
    }
    Process& fresh = process_of(context.tgid);
    fresh.context = context;
    fresh.known = true;
  }

  std::vector<Finding> forget_process(std::uint32_t tgid) {
    std::vector<Finding> findings = settle_lone(pairing_.take_process(tgid));
    drop_state(tgid);
    return findings;
  }

  std::vector<Finding> operator()(const AccessEvent& event) {
    if (event.evidence == MW_EVIDENCE_MARK) {
      std::vector<Finding> findings;
      findings.push_back(count(from_mark(event, process_of(event.head.tgid).context)));
      return findings;
    }
    const std::vector<Meeting> meetings = pairing_.add(event);
    std::vector<Finding> findings = settle_lone(pairing_.evict_over());
    for (const Meeting& meeting : meetings) {
      auto hazard = from_meeting(meeting, process_of(event.head.tgid).context);
      if (hazard) {
        findings.push_back(count(std::move(*hazard)));
      } else {
        ++void_pairs_;
      }
    }
    return findings;
  }

  std::vector<Finding> operator()(const FatalEvent& event) {
    auto crash_class = classify_map_fatal(event.text);
    const bool unreadable = event.text.empty() && (event.flags & MW_FATAL_TEXT_UNREADABLE) != 0;
    if (!crash_class && !unreadable && !options_.all_fatals) {
      return {};
    }
    // The goroutine that had the process frozen is the one to report: its event comes, too.
    if ((event.flags & MW_FATAL_SECOND) != 0) {
      return {};
    }
    Process& process = process_of(event.head.tgid);
    if (process.crashed) {
      return {};
    }
    process.crashed = true;
    ++crashes_;
    Crash crash = describe(event, process);
    crash.reason = unreadable ? "(text not readable)" : escape(event.text);
    crash.crash_class = crash_class.value_or("other");
    crash.id = id_of(crash_fingerprint(process.context, event.stack, crash.reason));
    return {std::move(crash)};
  }

  std::vector<Finding> operator()(const ingest::ExecEvent& event) { return forget_process(event.head.tgid); }

  std::vector<Finding> operator()(const ingest::ExitEvent& event) {
    return settle_lone(pairing_.take_process(event.head.tgid));
  }

  std::vector<Finding> operator()(const ingest::OverEvent&) { return {}; }  // the governor's

  std::vector<Finding> settle(std::uint64_t now_ns) {
    return settle_lone(pairing_.expire(now_ns - std::min(now_ns, options_.pair_timeout_ns)));
  }

  std::uint64_t hazards() const { return dedup_.distinct(); }
  std::uint64_t crashes() const { return crashes_; }
  std::uint64_t lost_halves() const { return lost_halves_; }
  std::uint64_t void_pairs() const { return void_pairs_; }
  std::uint64_t forgotten() const { return dedup_.forgotten(); }

 private:
  struct Process {
    ProcessContext context;
    bool known = false;  ///< set_process was called
    bool crashed = false;
    std::optional<std::uint64_t> first_hazard_ns;
    std::vector<std::string> hazard_ids;
    RecentAccesses recent;
  };

  Process& process_of(std::uint32_t tgid) {
    const auto found = processes_.find(tgid);
    if (found != processes_.end()) {
      return found->second;
    }
    if (processes_.size() >= kMaxProcesses) {
      drop_state(processes_.begin()->first);
    }
    Process& process = processes_[tgid];
    process.context.tgid = tgid;
    return process;
  }

  void drop_state(std::uint32_t tgid) {
    processes_.erase(tgid);
    dedup_.forget_process(tgid);
    history_.forget_process(tgid);
  }

  std::vector<Finding> settle_lone(std::vector<AccessEvent> halves) {
    std::vector<Finding> findings;
    for (const AccessEvent& half : halves) {
      ++lost_halves_;
      const Process& process = process_of(half.head.tgid);
      auto hazard = from_lone(half, process.context, process.crashed ? Partner::kCrashBetween : Partner::kLost);
      if (hazard) {
        findings.push_back(count(std::move(*hazard)));
      }
    }
    return findings;
  }

  Hazard count(Hazard hazard) {
    const Dedup::Verdict seen = dedup_.see(hazard.tgid, hazard.fingerprint, hazard.severity, hazard.time_ns);
    hazard.count = seen.count;
    hazard.severity = seen.severity;
    hazard.print = seen.print;
    Process& process = process_of(hazard.tgid);
    if (!process.first_hazard_ns) {
      process.first_hazard_ns = hazard.time_ns;
    }
    auto& ids = process.hazard_ids;
    if (ids.size() < kMaxIdsPerProcess && std::find(ids.begin(), ids.end(), hazard.id) == ids.end()) {
      ids.push_back(hazard.id);
    }
    history_.add(hazard);
    process.recent.add(hazard.accesses[1], hazard.map);
    process.recent.add(hazard.accesses[0], hazard.map);
    return hazard;
  }

  /// The crashing goroutine, and who else was seen writing to the map that it touched last. Only a writer can be the
  /// other side: each of Go's checks is of a mark that writers alone set.
  Crash describe(const FatalEvent& event, const Process& process) const {
    Crash crash;
    crash.tgid = event.head.tgid;
    crash.layout = event.head.layout;
    crash.time_ns = event.head.time_ns;
    crash.map = event.last_map;
    crash.map_by_arguments = crash.map != 0 && (event.flags & MW_FATAL_MAP_BY_ARGUMENTS) != 0;
    crash.access.op = event.op;
    crash.access.site_class = event.site_class;
    crash.access.goid = event.goid;
    crash.access.g = event.g;
    crash.access.tid = event.head.tid;
    crash.access.cpu = event.head.cpu;
    crash.access.time_ns = event.head.time_ns;
    crash.access.gopc = event.gopc;
    crash.access.stack = event.stack;
    crash.access.stack_cut = ((event.flags >> 8) & MW_ACCESS_STACK_CUT) != 0;
    crash.first_hazard_ns = process.first_hazard_ns;
    crash.hazard_ids = process.hazard_ids;
    const std::vector<const AccessEvent*> waiting = pairing_.waiting(crash.tgid);
    if (crash.map == 0) {
      RecentAccesses recent = process.recent;
      for (const AccessEvent* half : waiting) {
        recent.add(observed(*half), half->map);
      }
      crash.map = recent.map_of(crash.access, kSameCallNs);
      crash.map_by_hazard = crash.map != 0;
    }
    if (crash.map == 0) {
      return crash;
    }
    if (!crash.map_by_hazard) {
      crash.map_type = event.last_type;
      crash.map_len = event.last_len;
    }
    std::vector<Access> writers;
    if (const MapRecord* record = history_.find(crash.tgid, crash.map)) {
      crash.map_type = crash.map_type != 0 ? crash.map_type : record->type;
      crash.map_len = crash.map_len ? crash.map_len : record->len;
      crash.first_map_hazard_ns = record->first_hazard_ns;
      writers = record->writers;
    }
    for (const AccessEvent* half : waiting) {
      if (half->map != crash.map) {
        continue;
      }
      crash.map_type = crash.map_type != 0 ? crash.map_type : half->type;
      crash.map_len = crash.map_len ? crash.map_len : half->len;
      remember_writer(writers, observed(*half));
    }
    const auto other = std::find_if(writers.begin(), writers.end(),
                                    [&](const Access& writer) { return writer.goid != crash.access.goid; });
    if (other != writers.end()) {
      crash.other = *other;
    } else if (event.other_g != 0) {
      crash.other = last_writer(event);
    }
    return crash;
  }

  /// What the kernel side remembers of the map's last writer: no hazard told more.
  static Access last_writer(const FatalEvent& event) {
    Access other;
    other.op = event.other_op;
    other.g = event.other_g;
    other.goid = event.other_goid;
    other.attribution = Attribution::kUnknown;
    if (event.other_pc != 0) {
      other.attribution = Attribution::kLastWriter;
      other.stack = {event.other_pc};
    }
    return other;
  }

  Options options_;
  Pairing pairing_;
  Dedup dedup_;
  MapHistory history_;
  std::unordered_map<std::uint32_t, Process> processes_;
  std::uint64_t crashes_ = 0;
  std::uint64_t lost_halves_ = 0;
  std::uint64_t void_pairs_ = 0;
};

Correlator::Correlator() : Correlator(Options{}) {}
Correlator::Correlator(Options options) : impl_(std::make_unique<Impl>(options)) {}
Correlator::Correlator(Correlator&&) noexcept = default;
Correlator& Correlator::operator=(Correlator&&) noexcept = default;
Correlator::~Correlator() = default;

void Correlator::set_process(const ProcessContext& process) { impl_->set_process(process); }
std::vector<Finding> Correlator::forget_process(std::uint32_t tgid) { return impl_->forget_process(tgid); }
std::vector<Finding> Correlator::add(const ingest::Event& event) { return std::visit(*impl_, event); }
std::vector<Finding> Correlator::settle(std::uint64_t now_ns) { return impl_->settle(now_ns); }
std::uint64_t Correlator::hazards() const { return impl_->hazards(); }
std::uint64_t Correlator::crashes() const { return impl_->crashes(); }
std::uint64_t Correlator::lost_halves() const { return impl_->lost_halves(); }
std::uint64_t Correlator::void_pairs() const { return impl_->void_pairs(); }
std::uint64_t Correlator::forgotten() const { return impl_->forgotten(); }

}  // namespace mapwatch::correlate
