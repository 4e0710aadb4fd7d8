#include "forensics/goroutine_decode.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

constexpr std::size_t kMaxChannels = 16;
constexpr std::uint32_t kQueueSize = 256;  // runtime.p.runq
// Stacks that one thread may stand on at a time: signal, system, its goroutine's.
constexpr int kMaxHops = 4;

class Decoder {
 public:
  Decoder(const GoroutineCopy& copy, const GoProcess& process, const GoroutineFilter& wanted)
      : copy_(copy), wanted_(wanted), layout_(process.layout), unwinder_(*process.binary, process.bias) {}

  Goroutines run() {
    result_.notes = copy_.notes;
    for (std::size_t i = 0; i < copy_.ms.count(); ++i) {
      machines_.emplace(copy_.ms.addresses[i], i);
    }
    for (std::size_t i = 0; i < copy_.gs.count(); ++i) {
      ids_.emplace(copy_.gs.addresses[i], copy_.gs.get(i, layout_.g.goid));
    }
    for (std::size_t i = 0; i < copy_.ps.count(); ++i) {
      p_ids_.emplace(copy_.ps.addresses[i], copy_.ps.get<std::int32_t>(i, layout_.p.id));
    }
    std::size_t unread = 0;
    for (std::size_t i = 0; i < copy_.gs.count(); ++i) {
      if (!copy_.gs.ok[i]) {
        ++unread;
        continue;
      }
      decode(i);
    }
    if (unread != 0) {
      result_.notes.push_back(fmt::format("{} goroutines could not be read", unread));
    }
    decode_machines();
    decode_processors();
    decode_scheduler();
    return std::move(result_);
  }

 private:
  std::uint64_t id_of(std::uint64_t g) const {
    const auto found = ids_.find(g);
    return found == ids_.end() ? 0 : found->second;
  }

  void decode(std::size_t i) {
    const elf::GLayout& g = layout_.g;
    const std::uint32_t raw = copy_.gs.get<std::uint32_t>(i, g.status);
    const std::uint32_t status = raw & ~kScanBit;
    if (status == 0 || status == 6 || status == 11) {  // idle, dead, deadextra
      ++result_.dead;
      return;
    }
    Goroutine goroutine;
    goroutine.address = copy_.gs.addresses[i];
    goroutine.id = copy_.gs.get(i, g.goid);
    goroutine.parent_id = g.parent == elf::kAbsent ? 0 : copy_.gs.get(i, g.parent);
    goroutine.status = static_cast<GStatus>(std::min<std::uint32_t>(status, 255));
    goroutine.scan = (raw & kScanBit) != 0;
    goroutine.wait_reason = copy_.gs.get<std::uint8_t>(i, g.waitreason);
    const std::uint64_t since = copy_.gs.get(i, g.waitsince);
    const bool waits = goroutine.status == GStatus::kWaiting || goroutine.status == GStatus::kSyscall;
    goroutine.waiting_ns = waits && since != 0 && since < copy_.now_ns ? copy_.now_ns - since : 0;
    goroutine.go_pc = copy_.gs.get(i, g.gopc);
    goroutine.start_pc = copy_.gs.get(i, g.startpc);
    goroutine.stack_low = copy_.gs.get(i, g.stack);
    goroutine.stack_high = copy_.gs.get(i, g.stack + 8);
    goroutine.m = copy_.gs.get(i, g.m);
    goroutine.locked_to_thread = copy_.gs.get(i, g.lockedm) != 0;
    const auto found = machines_.find(goroutine.m);
    const auto m = found == machines_.end() ? std::nullopt : std::optional(found->second);
    if (m) {
      goroutine.m_id = copy_.ms.get<std::int64_t>(*m, layout_.m.id);
      goroutine.thread = copy_.ms.get(*m, layout_.m.procid);
    }
    if (wanted_ && !wanted_(goroutine)) {
      return;
    }
    goroutine.labels = labels_of(copy_.gs.get(i, g.labels));
    add_channels(goroutine, copy_.gs.get(i, g.waiting));
    unwind(goroutine, i, m);
    result_.list.push_back(std::move(goroutine));
  }

  std::uint32_t labels_of(std::uint64_t set) {
    const auto labels = copy_.labels.find(set);
    if (labels == copy_.labels.end() || labels->second.empty()) {
      return 0;
    }
    const auto [at, fresh] = label_index_.emplace(set, static_cast<std::uint32_t>(result_.labels.size()));
    if (fresh) {
      result_.labels.push_back(labels->second);
    }
    return at->second;
  }

  void add_channels(Goroutine& goroutine, std::uint64_t sudog) const {
    // The list may lead in a circle of sudogs without a channel.
    for (std::size_t step = 0; sudog != 0 && step < kMaxChannels; ++step) {
      const auto found = copy_.sudog_index.find(sudog);
      if (found == copy_.sudog_index.end()) {
        return;
      }
      const std::uint64_t channel = copy_.sudogs.get(found->second, layout_.sudog.channel);
      if (channel != 0) {
        goroutine.channels.push_back(channel);
      }
      sudog = copy_.sudogs.get(found->second, layout_.sudog.waitlink);
    }
  }

  void append(Goroutine& goroutine, const Walk& walk, bool system_stack) {
    for (Frame frame : walk.frames) {
      frame.system_stack = system_stack;
      goroutine.frames.push_back(frame);
    }
    goroutine.end = walk.end;
    if (!system_stack) {
      goroutine.frame_pointers_differ += static_cast<std::uint32_t>(walk.frame_pointers_differ);
    }
  }

  void walk_own(Goroutine& goroutine, std::size_t i, const ThreadRegisters& at, bool exact) {
    const StackBytes& stack = copy_.stacks[i];
    if (stack.bytes.empty()) {
      const bool inside = at.sp >= goroutine.stack_low && at.sp < goroutine.stack_high;
      goroutine.doubt = inside ? StackDoubt::kTorn : StackDoubt::kOdd;
      return;
    }
    goroutine.sp = at.sp;
    append(goroutine, unwinder_.walk(stack, at, exact), false);
    switch (goroutine.end) {
      case StackEnd::kTop:
        break;
      case StackEnd::kCut:
        goroutine.doubt = copy_.stack_cut[i] ? StackDoubt::kCut : StackDoubt::kOdd;
        break;
      default:
        goroutine.doubt = StackDoubt::kOdd;
    }
  }

  void unwind(Goroutine& goroutine, std::size_t i, std::optional<std::size_t> m) {
    if (goroutine.status == GStatus::kCopyStack) {
      goroutine.doubt = StackDoubt::kCopying;
      return;
    }
    const auto start = stack_start(copy_, layout_, i, m);
    if (start) {
      walk_own(goroutine, i, start->at, start->exact);
    } else if (goroutine.status == GStatus::kRunning) {
      unwind_running(goroutine, i, m);
    } else {
      goroutine.doubt = StackDoubt::kOdd;
    }
  }

  /// Its thread stands on another stack: the signal stack leads back by the interrupted registers, the system stack
  /// by what the goroutine saved when it left.
  void unwind_running(Goroutine& goroutine, std::size_t i, std::optional<std::size_t> m) {
    const auto registers = m ? copy_.registers.find(goroutine.thread) : copy_.registers.end();
    if (registers == copy_.registers.end()) {
      goroutine.doubt = StackDoubt::kNoRegisters;
      return;
    }
    ThreadRegisters at = registers->second;
    for (int hop = 0; hop < kMaxHops; ++hop) {
      if (at.sp >= goroutine.stack_low && at.sp < goroutine.stack_high) {
        walk_own(goroutine, i, at, true);
        return;
      }
      const StackBytes* system = nullptr;
      for (std::size_t k = 2 * *m; k < 2 * *m + 2; ++k) {
        system = copy_.system_stacks[k].holds(at.sp) ? &copy_.system_stacks[k] : system;
      }
      if (system == nullptr) {
        break;
      }
      const Walk walk = unwinder_.walk(*system, at, true);
      append(goroutine, walk, true);
      if (!walk.interrupted) {
        break;
      }
      at = *walk.interrupted;
    }
    const elf::GLayout& g = layout_.g;
    walk_own(goroutine, i, {copy_.gs.get(i, g.sched + 8), copy_.gs.get(i, g.sched), copy_.gs.get(i, g.sched_bp)},
             false);
  }

  void decode_machines() {
    const elf::MLayout& m = layout_.m;
    for (std::size_t i = 0; i < copy_.ms.count(); ++i) {
      if (!copy_.ms.ok[i]) {
        continue;
      }
      Machine machine;
      machine.address = copy_.ms.addresses[i];
      machine.id = copy_.ms.get<std::int64_t>(i, m.id);
      machine.thread = copy_.ms.get(i, m.procid);
      machine.goroutine = id_of(copy_.ms.get(i, m.curg));
      machine.locked_goroutine = id_of(copy_.ms.get(i, m.lockedg));
      const auto p = p_ids_.find(copy_.ms.get(i, m.p));
      machine.p = p == p_ids_.end() ? -1 : p->second;
      machine.spinning = copy_.ms.get<std::uint8_t>(i, m.spinning) != 0;
      machine.blocked = copy_.ms.get<std::uint8_t>(i, m.blocked) != 0;
      machine.in_c = copy_.ms.get<std::uint8_t>(i, m.incgo) != 0;
      machine.locks = copy_.ms.get<std::int32_t>(i, m.locks);
      machine.throwing = copy_.ms.get<std::int32_t>(i, m.throwing);
      machine.vdso_sp = copy_.ms.get(i, m.vdso_sp);
      machine.vdso_pc = copy_.ms.get(i, m.vdso_pc);
      const auto registers = copy_.registers.find(machine.thread);
      machine.pc = registers == copy_.registers.end() ? 0 : registers->second.pc;
      result_.machines.push_back(machine);
    }
    std::ranges::sort(result_.machines, {}, &Machine::id);
  }

  void decode_processors() {
    const elf::PLayout& p = layout_.p;
    for (std::size_t i = 0; i < copy_.ps.count(); ++i) {
      if (!copy_.ps.ok[i]) {
        continue;
      }
      Processor processor;
      processor.address = copy_.ps.addresses[i];
      processor.id = copy_.ps.get<std::int32_t>(i, p.id);
      processor.status = static_cast<PStatus>(copy_.ps.get<std::uint32_t>(i, p.status));
      processor.schedule_tick = copy_.ps.get<std::uint32_t>(i, p.schedtick);
      processor.syscall_tick = copy_.ps.get<std::uint32_t>(i, p.syscalltick);
      processor.next = id_of(copy_.ps.get(i, p.runnext));
      if (const auto m = machines_.find(copy_.ps.get(i, p.m)); m != machines_.end()) {
        processor.m_id = copy_.ms.get<std::int64_t>(m->second, layout_.m.id);
        processor.goroutine = id_of(copy_.ms.get(m->second, layout_.m.curg));
      }
      const std::uint32_t head = copy_.ps.get<std::uint32_t>(i, p.runqhead);
      const std::uint32_t tail = copy_.ps.get<std::uint32_t>(i, p.runqtail);
      for (std::uint32_t at = head; at != tail && tail - head <= kQueueSize; ++at) {
        processor.queue.push_back(id_of(copy_.ps.get(i, p.runq + 8 * (at % kQueueSize))));
      }
      if (tail - head > kQueueSize) {
        result_.notes.push_back(
            fmt::format("the run queue of P {} is odd: head {}, tail {}", processor.id, head, tail));
      }
      result_.processors.push_back(std::move(processor));
    }
  }

  void decode_scheduler() {
    Scheduler& into = result_.scheduler;
    into.gc_phase = copy_.gc_phase;
    if (copy_.sched.empty()) {
      return;
    }
    const Bytes bytes(copy_.sched.data(), copy_.sched.size());
    const elf::SchedLayout& s = layout_.sched;
    const auto number = [&](std::uint32_t offset) { return bytes.read<std::int32_t>(offset).value_or(0); };
    into.known = true;
    into.last_goid = bytes.read<std::uint64_t>(s.goidgen).value_or(0);
    into.last_poll_ns = bytes.read<std::uint64_t>(s.lastpoll).value_or(0);
    into.idle_ms = number(s.nmidle);
    into.system_ms = number(s.nmsys);
    into.idle_ps = number(s.npidle);
    into.spinning_ms = number(s.nmspinning);
    into.global_queue = number(s.runqsize);
    into.gc_waiting = bytes.read<std::uint8_t>(s.gcwaiting).value_or(0) != 0;
    into.stop_wait = number(s.stopwait);
  }

  const GoroutineCopy& copy_;
  const GoroutineFilter& wanted_;
  const elf::RuntimeLayout& layout_;
  Unwinder unwinder_;
  Goroutines result_;
  std::unordered_map<std::uint64_t, std::size_t> machines_;
  std::unordered_map<std::uint64_t, std::uint64_t> ids_;
  std::unordered_map<std::uint64_t, std::int32_t> p_ids_;
  std::unordered_map<std::uint64_t, std::uint32_t> label_index_;
};

}  // namespace

Goroutines decode_goroutines(const GoroutineCopy& copy, const GoProcess& process, const GoroutineFilter& wanted) {
  return Decoder(copy, process, wanted).run();
}

const Goroutine* Goroutines::find(std::uint64_t id) const {
  const auto found = std::ranges::find(list, id, &Goroutine::id);
  return found == list.end() ? nullptr : &*found;
}

std::string_view status_text(const Goroutine& goroutine, int go_minor) {
  const bool waits = goroutine.status == GStatus::kWaiting || goroutine.status == GStatus::kLeaked;
  if (waits && goroutine.wait_reason != 0) {
    return elf::wait_reason(go_minor, goroutine.wait_reason).value_or("unknown wait reason");
  }
  switch (goroutine.status) {
    case GStatus::kIdle:
      return "idle";
    case GStatus::kRunnable:
      return "runnable";
    case GStatus::kRunning:
      return "running";
    case GStatus::kSyscall:
      return "syscall";
    case GStatus::kWaiting:
      return "waiting";
    case GStatus::kDead:
      return "dead";
    case GStatus::kCopyStack:
      return "copystack";
    case GStatus::kPreempted:
      return "preempted";
    case GStatus::kLeaked:
      return "leaked";
    case GStatus::kDeadExtra:
      return "waiting for cgo callback";
  }
  return "???";
}

}  // namespace mapwatch::forensics
