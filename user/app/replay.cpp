#include "app/replay.h"

#include <csignal>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/output.h"
#include "base/clock.h"
#include "base/log.h"
#include "correlate/correlator.h"
#include "ingest/record_file.h"
#include "ingest/record_json.h"
#include "report/frozen_record.h"
#include "report/publisher.h"
#include "report/suppressions.h"
#include "report/writer.h"
#include "symbolize/recorded_symbolizer.h"

namespace mapwatch::app {
namespace {

using ingest::ChunkTag;

// Bounds on what a recording may make us remember.
constexpr std::size_t kMaxPrinted = 1u << 20;
constexpr std::size_t kMaxLost = 1024;
constexpr std::size_t kMaxFrozen = 1024;

/// The recorded instant: what the reports say of when they left.
class RecordedClock final : public Clock {
 public:
  std::uint64_t monotonic_ns() const override { return now_ns_; }
  std::int64_t realtime_ns() const override { return static_cast<std::int64_t>(now_ns_) + wall_offset_ns_; }
  void set(std::uint64_t now_ns) { now_ns_ = now_ns; }
  void set_wall_offset(std::int64_t offset_ns) { wall_offset_ns_ = offset_ns; }

 private:
  std::uint64_t now_ns_ = 0;
  std::int64_t wall_offset_ns_ = 0;
};

/// Which program of a process: the number of its 'P' chunks so far.
using Epochs = std::unordered_map<std::uint32_t, std::uint64_t>;

/// What stands behind the events that it belongs to: symbols are found and reports written later.
struct Recorded {
  symbolize::RecordedSymbolizer symbols;
  std::map<std::tuple<std::uint32_t, std::uint64_t, std::string, std::uint64_t>, std::uint64_t> printed_ns;
  std::map<std::tuple<std::uint32_t, std::uint64_t, std::string>, ingest::FrozenRecord> frozen;
  std::vector<ingest::LostRecord> lost;
  std::optional<ingest::CountersRecord> counters;
};

Result<void> collect(const ingest::Chunk& chunk, Epochs& epochs, Recorded& recorded) {
  switch (chunk.tag) {
    case ChunkTag::kEvent:
      break;
    case ChunkTag::kProcess:
      ++epochs[TRY(ingest::decode_process(chunk.bytes())).tgid];
      break;
    case ChunkTag::kSymbols: {
      ingest::SymbolRecord record = TRY(ingest::decode_symbols(chunk.bytes()));
      const std::uint64_t epoch = epochs[record.tgid];
      recorded.symbols.add(std::move(record), epoch);
      break;
    }
    case ChunkTag::kFrozen: {
      ingest::FrozenRecord record = TRY(ingest::decode_frozen(chunk.bytes()));
      if (recorded.frozen.size() < kMaxFrozen) {
        const std::tuple key(record.tgid, epochs[record.tgid], record.id);
        recorded.frozen.emplace(key, std::move(record));
      }
      break;
    }
    case ChunkTag::kReported: {
      const ingest::ReportedRecord record = TRY(ingest::decode_reported(chunk.bytes()));
      if (recorded.printed_ns.size() < kMaxPrinted) {
        recorded.printed_ns.emplace(std::tuple(record.tgid, epochs[record.tgid], record.id, record.count),
                                    record.printed_ns);
      }
      break;
    }
    case ChunkTag::kLost:
      if (recorded.lost.size() < kMaxLost) {
        recorded.lost.push_back(TRY(ingest::decode_lost(chunk.bytes())));
      }
      break;
    case ChunkTag::kCounters:
      recorded.counters = TRY(ingest::decode_counters(chunk.bytes()));
      break;
  }
  return {};
}

class Player {
 public:
  Player(const cli::Options& options, Recorded& recorded, report::Writer& writer, report::Suppressions& suppressions,
         RecordedClock& clock)
      : recorded_(recorded),
        writer_(writer),
        clock_(clock),
        correlator_({.all_fatals = options.on_fatal == "all"}),
        publisher_(publisher_options(options), recorded.symbols, writer, suppressions) {
    publisher_.on_crash([this](report::CrashReport& crash) { add_frozen(crash); });
  }

  Result<void> play(const ingest::Chunk& chunk) {
    if (chunk.tag == ChunkTag::kProcess) {
      begin_process(TRY(ingest::decode_process(chunk.bytes())));
    } else if (chunk.tag == ChunkTag::kEvent) {
      const Result<ingest::Event> decoded = ingest::decode(chunk.bytes());
      if (!decoded) {  // the recorded run passed it over, too
        log::warn("kernel event not understood: {}", decoded.error().message);
        return {};
      }
      const ingest::Event& event = *decoded;
      const std::uint64_t time_ns = std::visit([](const auto& any) { return any.head.time_ns; }, event);
      first_ns_ = events_ == 0 ? time_ns : std::min(first_ns_, time_ns);
      last_ns_ = std::max(last_ns_, time_ns);
      ++events_;
      publish(correlator_.settle(last_ns_));
      publish(correlator_.add(event));
    }
    return {};
  }

  /// The reader is gone, or --halt-on-first had its report.
  bool done() const { return writer_.closed() || publisher_.want_stop(); }

  void finish() {
    if (!done()) {
      publish(correlator_.settle(UINT64_MAX));
    }
    for (const ingest::LostRecord& lost : recorded_.lost) {
      report::Report report = report::LostReport{lost.stage, lost.count};
      writer_.write(report);
    }
    if (writer_.lost() != 0) {
      report::Report report = report::LostReport{"export", writer_.lost()};
      writer_.write(report);
    }
    report::Report report = summary();
    writer_.write(report);
  }

  std::uint64_t hazards() const { return publisher_.hazards(); }

 private:
  void begin_process(const ingest::ProcessRecord& record) {
    const std::uint64_t epoch = ++epochs_[record.tgid];
    if (epoch > 1) {
      publish(correlator_.forget_process(record.tgid));
      publisher_.forget_process(record.tgid);
    }
    recorded_.symbols.set_epoch(record.tgid, epoch);
    correlator_.set_process(report::to_context(record));
    publisher_.set_process(record.tgid, report::to_subject(record));
    clock_.set_wall_offset(record.wall_offset_ns);
  }

  void publish(const std::vector<correlate::Finding>& findings) {
    for (const correlate::Finding& finding : findings) {
      if (done()) {
        return;
      }
      clock_.set(printed_ns(finding));
      publishing_ = tgid_of(finding);
      publisher_.set_lost_events(correlator_.lost_halves());
      publisher_.publish(finding);
    }
  }

  static std::uint32_t tgid_of(const correlate::Finding& finding) {
    return std::visit([](const auto& any) { return any.tgid; }, finding);
  }

  void add_frozen(report::CrashReport& crash) {
    const auto found = recorded_.frozen.find({publishing_, epochs_[publishing_], crash.id});
    if (found != recorded_.frozen.end()) {
      report::add_frozen(found->second, crash);
    }
  }

  /// When the recorded run printed it; when it did not, the last event's time.
  std::uint64_t printed_ns(const correlate::Finding& finding) {
    const auto* hazard = std::get_if<correlate::Hazard>(&finding);
    const auto* crash = std::get_if<correlate::Crash>(&finding);
    const std::uint32_t tgid = tgid_of(finding);
    const auto found = recorded_.printed_ns.find(
        {tgid, epochs_[tgid], hazard != nullptr ? hazard->id : crash->id, hazard != nullptr ? hazard->count : 0});
    return found != recorded_.printed_ns.end() ? found->second : last_ns_;
  }

  report::SummaryReport summary() const {
    report::SummaryReport sum;
    if (recorded_.counters) {
      const ingest::CountersRecord& counters = *recorded_.counters;
      sum.duration_ns = counters.duration_ns;
      sum.hits = counters.hits;
      sum.dwells = counters.dwells;
      sum.lost = counters.lost;
      sum.sites = counters.sites;
      sum.sites_armed = counters.sites_armed;
      sum.armed_share = counters.armed_share;
      sum.ns_per_hit = counters.ns_per_hit;
      sum.target_cost = counters.target_cost;
      sum.own_cpu_s = counters.own_cpu_s;
      sum.own_rss_bytes = counters.own_rss_bytes;
    } else {
      sum.duration_ns = last_ns_ - first_ns_;
      sum.lost = correlator_.lost_halves();
    }
    sum.hazards = publisher_.hazards();
    sum.crashes = publisher_.crashes();
    sum.suppressed = publisher_.suppressed();
    return sum;
  }

  Recorded& recorded_;
  report::Writer& writer_;
  RecordedClock& clock_;
  correlate::Correlator correlator_;
  report::Publisher publisher_;
  Epochs epochs_;
  std::uint32_t publishing_ = 0;  ///< the process whose finding is being published
  std::uint64_t events_ = 0;
  std::uint64_t first_ns_ = 0;
  std::uint64_t last_ns_ = 0;
};

/// Hands each chunk to `take` until the end, damage, or until `take` says false. The error of the damage, if any.
template <typename Take>
Result<void> each_chunk(ingest::RecordReader& reader, Take take) {
  while (true) {
    std::optional<ingest::Chunk> chunk = TRY(reader.next());
    if (!chunk || !TRY(take(*chunk))) {
      return {};
    }
  }
}

}  // namespace

Result<int> replay(const cli::Options& options) {
  ingest::RecordReader reader = TRY(ingest::RecordReader::open(options.replay_file));
  report::Suppressions suppressions = TRY(report::Suppressions::load(options.suppressions));
  RecordedClock clock;
  report::Writer writer = TRY(report::Writer::create(writer_options(options, STDOUT_FILENO), clock));

  Recorded recorded;
  Epochs epochs;
  // Damage is told by the second pass, after what came before it.
  (void)each_chunk(reader, [&](const ingest::Chunk& chunk) -> Result<bool> {
    TRY(collect(chunk, epochs, recorded));
    return true;
  });
  reader.rewind();
  if (recorded.symbols.dropped() != 0) {
    log::warn("{}: {} symbols found no room in memory; their frames show addresses only", options.replay_file,
              recorded.symbols.dropped());
  }

  Player player(options, recorded, writer, suppressions, clock);
  const Result<void> damage = each_chunk(reader, [&](const ingest::Chunk& chunk) -> Result<bool> {
    TRY(player.play(chunk));
    return !player.done();
  });
  player.finish();
  if (reader.truncated()) {
    log::warn("{}: the recording ends inside a chunk; what followed is lost", options.replay_file);
  }
  const std::string used = describe_suppressions(suppressions, options.suppressions);
  if (!used.empty()) {
    log::info("{}", used);
  }
  if (!damage) {
    return fail(damage.error().kind, fmt::format("{}: {}", options.replay_file, damage.error().message),
                damage.error().hint);
  }
  if (writer.lost() != 0) {
    return fail(ErrorKind::kFailed,
                fmt::format("{} reports could not be written: {}", writer.lost(), writer.last_error()));
  }
  return player.hazards() != 0 ? options.exit_code.value_or(0) : 0;
}

int run_replay(const cli::Options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  const Result<int> status = replay(options);
  if (status) {
    return *status;
  }
  log::print_error(status.error());
  // A damaged recording is no unsupported target.
  return status.error().kind == ErrorKind::kMalformed ? 1 : log::exit_status(status.error().kind);
}

}  // namespace mapwatch::app
