#include "app/crash_recorder.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "app/state_dir.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/time_namespace.h"
#include "dossier/other_side.h"
#include "dossier/timeline_files.h"
#include "forensics/bounded_memory.h"
#include "forensics/crash_map.h"
#include "forensics/key_hasher.h"
#include "forensics/live_memory.h"

namespace mapwatch::app {
namespace {

// Places listed of the program's variables; each is named by a look through the symbols.
constexpr std::size_t kMostVariables = 100;

/// What the target itself calls its thread `tid`.
std::uint64_t own_tid(const Frozen& frozen, const proc::ProcFs& procfs, int tid) {
  if (frozen.target.ns_pids().size() > 1) {
    const auto status = procfs.thread_status(frozen.target.pid(), tid);
    if (status && !status->ns_pids.empty()) {
      return static_cast<std::uint64_t>(status->ns_pids.back());
    }
  }
  return static_cast<std::uint64_t>(tid);
}

/// Of the crashing thread, by the kernel's event: those of the very instruction. nullopt: the event has none.
std::optional<forensics::ThreadRegisters> crash_registers(const mw_fatal_event& event) {
  const mw_regs& r = event.regs;
  if (r.ip == 0) {
    return std::nullopt;
  }
  return forensics::ThreadRegisters{
      r.ip,
      r.sp,
      r.bp,
      {r.ax, r.cx, r.dx, r.bx, r.sp, r.bp, r.si, r.di, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15}};
}

/// By the thread ids that the target itself knows.
forensics::RegisterMap registers_of(const Frozen& frozen, const std::vector<dossier::ThreadState>& threads) {
  forensics::RegisterMap out;
  for (const dossier::ThreadState& thread : threads) {
    out[thread.own_tid] = forensics::ThreadRegisters::of(thread.registers);
  }
  // The thread that crashes may stand in the probe's out-of-line copy of the instruction by now.
  const auto crashing = std::ranges::find(threads, static_cast<int>(frozen.event.head.tid), &dossier::ThreadState::tid);
  if (const auto registers = crash_registers(frozen.event); registers && crashing != threads.end()) {
    out[crashing->own_tid] = *registers;
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

void CrashRecorder::add(int pid, std::shared_ptr<const Program> program, std::uint64_t load_bias) {
  if (wanted_) {
    auto environment = proc::ProcFs(procfs_).environment(pid).map(dossier::env_names_text);
    subjects_[pid] = std::make_shared<const Subject>(
        Subject{std::move(program), load_bias, std::move(environment), read_clocks(clock_)});
  }
}

void CrashRecorder::drop(int pid) { subjects_.erase(pid); }

void CrashRecorder::copy_goroutines(const Frozen& frozen, const forensics::GoProcess& process,
                                    const forensics::Memory& memory, dossier::CrashFacts& facts) const {
  const forensics::BoundedMemory bounded(memory, clock_, frozen.deadline_ns);
  auto copy = forensics::copy_goroutines(bounded, process, registers_of(frozen, facts.threads));
  if (copy) {
    copy->now_ns += static_cast<std::uint64_t>(proc::monotonic_offset_ns(frozen.target.pid(), proc::ProcFs(procfs_)));
    facts.goroutines = std::move(*copy);
  } else {
    facts.notes.push_back("goroutines: " + escape(copy.error().message));
  }
  if (bounded.cut()) {
    facts.notes.push_back("goroutines: half of --max-freeze was over before all of them were copied");
  }
}

void CrashRecorder::copy_map(const Frozen& frozen, const forensics::GoProcess& process, const forensics::Memory& memory,
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
  forensics::TypeReader types(bounded, forensics::type_space(*process.binary, process.bias));
  const auto hashes = forensics::read_hash_source(*process.binary, process.bias, bounded);
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

void CrashRecorder::find_map(Frozen& frozen, const forensics::GoProcess& process, const forensics::Memory& memory,
                             dossier::CrashFacts& facts) const {
  const auto registers = crash_registers(frozen.event);
  if (!registers) {
    return;
  }
  const forensics::BoundedMemory bounded(memory, clock_, frozen.deadline_ns);
  forensics::TypeReader types(bounded, forensics::type_space(*process.binary, process.bias));
  const auto found = forensics::find_crash_map(types, process, *registers);
  if (!found) {
    return;  // its frames do not prove it; a probe, or a hazard at the same call, may have told it
  }
  facts.argument_map = found->map;
  mw_fatal_event& event = frozen.event;
  if (event.last_map == 0) {
    event.last_map = found->map;
    event.last_type = found->type;
    event.last_len = found->len;
    event.flags |= MW_FATAL_MAP_BY_ARGUMENTS;
  } else if (event.last_map != found->map) {
    facts.notes.push_back(
        fmt::format("map: a probe saw the operation on {:#x}, its arguments say {:#x}", event.last_map, found->map));
  }
}

void CrashRecorder::copy_company(const Frozen& frozen, const forensics::GoProcess& process,
                                 const forensics::Memory& memory, dossier::CrashFacts& facts) const {
  const auto tgid = static_cast<std::uint32_t>(frozen.target.pid());
  if (auto operations = frozen.kernel.last_operations(tgid)) {
    facts.accesses.doings = std::move(*operations);
  } else {
    facts.notes.push_back("last operations: " + escape(operations.error().message));
  }
  facts.map_address = frozen.event.last_map;
  if (facts.map_address == 0) {
    return;
  }
  if (const auto slot = frozen.kernel.last_accesses(tgid, facts.map_address);
      slot && slot->last_tgid == tgid && slot->last_map == facts.map_address) {
    facts.accesses.slot = *slot;
  }
  const forensics::BoundedMemory bounded(memory, clock_, frozen.deadline_ns);
  forensics::SearchLimits limits;
  limits.places = kMostVariables;
  facts.variables = forensics::find_word(bounded, forensics::variable_memory(process), facts.map_address, limits);
}

void CrashRecorder::copy(Frozen& frozen) {
  const auto found = subjects_.find(frozen.target.pid());
  if (found == subjects_.end()) {
    return;
  }
  const Subject& subject = *found->second;
  const auto program = subject.program->parsed();
  const Program::RuntimeFacts* runtime = subject.program->runtime();
  if (!program || runtime == nullptr) {
    log::warn("PID {}: no dossier of its crash: its program's file changed since it was read", frozen.target.pid());
    return;
  }
  Copied copied{program, {&program->binary, subject.load_bias, runtime->layout, runtime->globals}, {}, {}};
  dossier::CrashFacts& facts = copied.facts;
  facts.maps = frozen.maps;
  if (subject.environment) {
    facts.environment = *subject.environment;
  } else {
    facts.notes.push_back("environment: " + escape(subject.environment.error().message));
  }
  for (const attach::ThreadRegisters& thread : frozen.registers.threads) {
    facts.threads.push_back({thread.tid, thread.regs, own_tid(frozen, proc::ProcFs(procfs_), thread.tid)});
  }
  if (!frozen.registers.missed.empty()) {
    facts.notes.push_back(fmt::format("registers: those of {} threads are missing", frozen.registers.missed.size()));
  }
  const auto memory = forensics::LiveMemory::open(frozen.target.pid(), proc::ProcFs(procfs_));
  if (memory) {
    find_map(frozen, copied.process, *memory, facts);
    copy_goroutines(frozen, copied.process, *memory, facts);
    copy_company(frozen, copied.process, *memory, facts);
    copy_map(frozen, copied.process, *memory, facts);
  } else {
    facts.notes.push_back("memory: " + escape(memory.error().message));
  }
  const bool stood_still = stands_still(frozen, proc::ProcFs(procfs_));
  if (!stood_still) {
    facts.notes.push_back(
        "somebody continued or ended the process while it was read: what is told of it may be of different moments");
  }
  copied.timeline = timeline_.begin(frozen, subject.attached, copied.process,
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
  const dossier::CrashPicture picture = dossier::decode_crash(copied->facts, copied->process, report.map.addr);
  dossier::tell_other_side(copied->facts, picture, copied->process, report);
  const auto write = [&]() -> Result<void> {
    dossier::Store store = TRY(dossier::Store::open(state_dir_, true));
    const std::string id = dossier::crash_id(report);
    report::CrashReport told = report;
    told.dossier = store.path_of(id);
    std::optional<elf::BuildInfo> build;
    if (auto read = elf::read_build_info(copied->program->file->bytes())) {
      build = std::move(*read);
    }
    const auto files = dossier::crash_files(copied->facts, picture, copied->process, build, told);
    const dossier::Timeline timeline = timeline_.now(copied->timeline, told);
    report.dossier = TRY(store.add(id, with_timeline(files, timeline)));
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
