#include "app/crash_recorder.h"

#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "app/state_dir.h"
#include "dossier/timeline_files.h"
#include "base/escape.h"
#include "base/log.h"
#include "forensics/bounded_memory.h"
#include "forensics/key_hasher.h"
#include "forensics/live_memory.h"

namespace mapwatch::app {
namespace {

/// By the thread ids that the target itself knows.
forensics::RegisterMap registers_of(const Frozen& frozen, const proc::ProcFs& procfs) {
  forensics::RegisterMap out;
  const bool other_namespace = frozen.target.ns_pids().size() > 1;
  const auto own_id = [&](int tid) {
    if (!other_namespace) {
      return tid;
    }
    const auto status = procfs.thread_status(frozen.target.pid(), tid);
    return status && !status->ns_pids.empty() ? status->ns_pids.back() : tid;
  };
  for (const attach::ThreadRegisters& thread : frozen.registers.threads) {
    out[static_cast<std::uint64_t>(own_id(thread.tid))] = {thread.regs.rip, thread.regs.rsp, thread.regs.rbp};
  }
  // The kernel's event has them of the very instruction; the thread may stand in the probe's out-of-line copy of it.
  const mw_regs& regs = frozen.event.regs;
  if (regs.ip != 0) {
    out[static_cast<std::uint64_t>(own_id(static_cast<int>(frozen.event.head.tid)))] = {regs.ip, regs.sp, regs.bp};
  }
  return out;
}

/// Terminal multiplexers continue a program of theirs that stops, as soon as it does. A thread whose registers were
/// read walks back into the stop by itself, when the machine gets round to it: one that does not stand yet is looked at
/// again.
bool stands_still(const Frozen& frozen, const proc::ProcFs& procfs) {
  constexpr int kLooks = 50;
  for (int look = 0; look < kLooks; ++look) {
    const auto status = procfs.thread_status(frozen.target.pid(), static_cast<int>(frozen.event.head.tid));
    if (!status || status->state == 'Z' || status->state == 'X') {
      return false;
    }
    if (status->state == 'T' || status->state == 't') {
      return true;
    }
    const timespec nap = {0, 100'000};
    ::nanosleep(&nap, nullptr);
  }
  return false;
}

}  // namespace

CrashRecorder::CrashRecorder(const cli::Options& options, const Clock& clock)
    : wanted_(options.on_crash != "none"),
      state_dir_(state_dir(options)),
      procfs_(options.procfs),
      clock_(clock),
      timeline_(options, clock, wanted_ && !options.follow) {}

void CrashRecorder::add(int pid, std::shared_ptr<const WatchedBinary> binary, std::uint64_t load_bias) {
  if (wanted_) {
    const auto process = forensics::GoProcess::of(binary->binary, load_bias);
    auto environment = proc::ProcFs(procfs_).environment(pid).map(dossier::env_names_text);
    subjects_[pid] = std::make_shared<const Subject>(
        Subject{std::move(binary), process, std::move(environment), read_clocks(clock_)});
  }
}

void CrashRecorder::drop(int pid) { subjects_.erase(pid); }

void CrashRecorder::copy_goroutines(const Frozen& frozen, const Subject& subject, const forensics::Memory& memory,
                                    dossier::CrashFacts& facts) const {
  const forensics::BoundedMemory bounded(memory, clock_, frozen.deadline_ns);
  auto copy = forensics::copy_goroutines(bounded, subject.process, registers_of(frozen, proc::ProcFs(procfs_)));
  if (copy) {
    facts.goroutines = std::move(*copy);
  } else {
    facts.notes.push_back("goroutines: " + escape(copy.error().message));
  }
  if (bounded.cut()) {
    facts.notes.push_back("goroutines: half of --max-freeze was over before all of them were copied");
  }
}

void CrashRecorder::copy_map(const Frozen& frozen, const Subject& subject, const forensics::Memory& memory,
                             dossier::CrashFacts& facts) const {
  const std::uint64_t now = clock_.monotonic_ns();
  if (frozen.event.last_map == 0 || frozen.event.last_type == 0) {
    facts.notes.push_back("map: which one it was is not known");
    return;
  }
  if (now >= frozen.deadline_ns) {
    facts.notes.push_back("map: half of --max-freeze was over before it was read");
    return;
  }
  const forensics::BoundedMemory bounded(memory, clock_, frozen.deadline_ns);
  forensics::MapRequest request;
  request.type = frozen.event.last_type;
  request.map = frozen.event.last_map;
  request.limits.time_ns = frozen.deadline_ns - now;
  request.style.redact = true;  // a finding may name a key
  forensics::TypeReader types(bounded, forensics::type_space(subject.binary->binary, subject.process.bias));
  const auto hashes = forensics::read_hash_source(subject.binary->binary, subject.process.bias, bounded);
  auto picture = forensics::read_map(types, hashes, request, clock_);
  if (!picture) {
    facts.notes.push_back("map: " + escape(picture.error().message));
    return;
  }
  if (bounded.cut() && picture->partial.empty()) {
    picture->partial = "half of --max-freeze was over";
  }
  facts.map = std::move(*picture);
}

void CrashRecorder::copy(const Frozen& frozen) {
  const auto found = subjects_.find(frozen.target.pid());
  if (found == subjects_.end()) {
    return;
  }
  Copied copied{found->second, {}, {}};
  dossier::CrashFacts& facts = copied.facts;
  facts.maps = frozen.maps;
  if (found->second->environment) {
    facts.environment = *found->second->environment;
  } else {
    facts.notes.push_back("environment: " + escape(found->second->environment.error().message));
  }
  for (const attach::ThreadRegisters& thread : frozen.registers.threads) {
    facts.threads.push_back({thread.tid, thread.regs});
  }
  if (!frozen.registers.missed.empty()) {
    facts.notes.push_back(fmt::format("registers: those of {} threads are missing", frozen.registers.missed.size()));
  }
  const auto memory = forensics::LiveMemory::open(frozen.target.pid(), proc::ProcFs(procfs_));
  if (memory) {
    copy_goroutines(frozen, *copied.subject, *memory, facts);
    copy_map(frozen, *copied.subject, *memory, facts);
  } else {
    facts.notes.push_back("memory: " + escape(memory.error().message));
  }
  const bool stood_still = stands_still(frozen, proc::ProcFs(procfs_));
  if (!stood_still) {
    facts.notes.push_back(
        "somebody continued or ended the process while it was read: what is told of it may be of different moments");
  }
  copied.timeline = timeline_.begin(frozen, copied.subject->attached, copied.subject->process,
                                    memory ? static_cast<const forensics::Memory*>(&*memory) : nullptr);
  copied.timeline.facts.stood_still = stood_still;
  const std::lock_guard lock(mutex_);
  copied_.insert_or_assign(static_cast<std::uint32_t>(frozen.target.pid()), std::move(copied));
}

std::optional<CrashRecorder::Copied> CrashRecorder::take(std::uint32_t pid) {
  const std::lock_guard lock(mutex_);
  const auto found = copied_.find(pid);
  if (found == copied_.end()) {
    return std::nullopt;
  }
  std::optional<Copied> copied = std::move(found->second);
  copied_.erase(found);
  return copied;
}

void CrashRecorder::forget(std::uint32_t pid) {
  if (const auto copied = take(pid)) {
    timeline_.forget(copied->timeline);
  }
}

void CrashRecorder::write(report::CrashReport& report) {
  const auto copied = take(report.process.pid);
  if (!copied) {
    return;
  }
  const auto write = [&]() -> Result<void> {
    dossier::Store store = TRY(dossier::Store::open(state_dir_, true));
    const std::string id = dossier::crash_id(report);
    report::CrashReport told = report;
    told.dossier = store.path_of(id);
    std::optional<elf::BuildInfo> build;
    if (auto read = elf::read_build_info(copied->subject->binary->file.bytes())) {
      build = std::move(*read);
    }
    const auto files = dossier::crash_files(copied->facts, copied->subject->process, build, told);
    const dossier::Timeline timeline = timeline_.now(copied->timeline, told);
    report.dossier = TRY(store.add(id, with_timeline(files, timeline, dossier::Which::kAll)));
    if (!timeline.complete) {
      timeline_.complete(copied->timeline, told, id, files);
    }
    return {};
  };
  if (auto written = write(); !written) {
    log::warn("PID {}: no dossier of its crash: {}", report.process.pid, log::printable(written.error().message));
  }
  timeline_.forget(copied->timeline);  // unless it is to be completed
}

}  // namespace mapwatch::app
