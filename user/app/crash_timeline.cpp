#include "app/crash_timeline.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "app/state_dir.h"
#include "base/log.h"
#include "base/time_namespace.h"
#include "dossier/timeline_files.h"

namespace mapwatch::app {
namespace {

LastMoments::Watch open_watch() {
  auto watch = attach::DyingWatch::load();
  if (!watch) {
    log::debug("timelines of crashes will lack Go's first byte on stderr: {}", watch.error().message);
  }
  return watch;
}

dossier::GoClock read_go_clock(const forensics::GoProcess& process, const forensics::Memory* memory,
                               std::int64_t offset_ns) {
  dossier::GoClock clock;
  clock.offset_ns = offset_ns;
  const auto read = [&](std::uint64_t address) -> std::optional<std::int64_t> {
    const auto value =
        address == 0 || memory == nullptr ? std::nullopt : memory->get<std::int64_t>(address + process.bias);
    return value && *value > 0 ? value : std::nullopt;  // 0: not set yet
  };
  clock.init_ns = read(process.globals.init_time);
  clock.start_ns = read(process.globals.time_start);
  return clock;
}

constexpr std::uint64_t kJournalNs = 1'000'000'000;
// Of mapwatch's own end: the grace of those that are dying, then the journal.
constexpr std::uint64_t kFinishNs = FollowLimits().grace_ns + kJournalNs;

}  // namespace

CrashTimeline::CrashTimeline(const cli::Options& options, const Clock& clock, bool wanted)
    : state_dir_(state_dir(options)),
      procfs_(options.procfs),
      clock_(clock),
      moments_(clock, wanted ? open_watch() : LastMoments::Watch(fail(ErrorKind::kUnsupported, "nothing is frozen"))) {}

CrashTimeline::Begun CrashTimeline::begin(const Frozen& frozen, const ClockReading& attached,
                                          const forensics::GoProcess& process, const forensics::Memory* memory) {
  Begun begun;
  begun.facts.attached = attached;
  begun.facts.crash = read_clocks(clock_);
  const int pid = frozen.target.pid();
  const proc::ProcFs procfs(procfs_);
  begun.facts.go = read_go_clock(process, memory, proc::monotonic_offset_ns(pid, procfs));
  begun.witnesses = std::make_shared<CrashWitnesses>(pid, procfs, clock_);
  begun.number = moments_.follow(static_cast<std::uint32_t>(pid), frozen.event.head.tid, frozen.target.pidfd());
  begun.facts.let_go_ns = clock_.monotonic_ns();
  return begun;
}

void CrashTimeline::finish() {
  finish_by_ns_.store(clock_.monotonic_ns() + kFinishNs);
  moments_.finish();
}

void CrashTimeline::also_fatal(const ingest::FatalEvent& event) {
  moments_.also_fatal(event.head.tgid, {event.head.time_ns, event.goid, event.head.tid});
}

dossier::Timeline CrashTimeline::now(const Begun& begun, const report::CrashReport& report) {
  dossier::TimelineFacts facts = begun.facts;
  facts.ending = moments_.look(begun.number);
  if (facts.ending.over) {
    facts.witnesses = begun.witnesses->look();
  }
  return dossier::build_timeline(report, facts);
}

void CrashTimeline::complete(const Begun& begun, const report::CrashReport& report, const std::string& id,
                             const std::vector<dossier::DossierFile>& files) {
  std::vector<dossier::DossierFile> waiting;  // for the timeline; the others may be large
  std::ranges::copy_if(files, std::back_inserter(waiting), dossier::has_timeline_slot);
  moments_.when_over(begun.number, [this, begun, report, id, waiting](const dossier::Ending& ending) {
    dossier::TimelineFacts facts = begun.facts;
    facts.ending = ending;
    const std::uint64_t now = clock_.monotonic_ns();
    const std::uint64_t until = now + kJournalNs;
    const std::uint64_t end = finish_by_ns_.load();
    facts.witnesses = begun.witnesses->ask_all(report.reason, facts.crash, end == 0 ? until : std::min(until, end));
    const dossier::Timeline timeline = dossier::build_timeline(report, facts);
    const auto write = [&]() -> Result<void> {
      dossier::Store store = TRY(dossier::Store::open(state_dir_, false));
      return store.replace(id, with_timeline(waiting, timeline));
    };
    // kUsage: somebody has removed it.
    if (auto written = write(); !written && written.error().kind != ErrorKind::kUsage) {
      log::warn("PID {}: the timeline in {} stays as it was at the report: {}", report.process.pid, id,
                log::printable(written.error().message));
    }
  });
}

}  // namespace mapwatch::app
