#include "machine.h"

#include <cstring>

#include <detector.bpf.h>
#include <fatal.bpf.h>

namespace mapwatch::bpf_test {

namespace {
Machine* machine = nullptr;
union Reserved {
  mw_event_head head;
  mw_access_event access;
  mw_fatal_event fatal;
};
Reserved reserved;
mw_freeze_note reserved_note;
constexpr mw_u64 kCallBytes = 5;
constexpr mw_u64 kTask = 0xffff888000000000ull;  // and the TID
}  // namespace

Machine::Machine()
    : slots(MW_SLOTS), heats(MW_SLOTS), pairs(MW_PAIRS), lefts(MW_LEFTS), doings(MW_DOINGS), callers(MW_CALLERS) {
  layout.goid = 8;
  layout.gopc = 16;
  layout.mark = 34;
  layout.mark_mask = 0xff;
  layout.map_len = 0;
  layout.seed = 8;
  layout.iter_map = 24;
  layout.iter_type = 16;
  layout.flags = MW_LAYOUT_VALID;
  machine = this;
}

Machine::~Machine() { machine = nullptr; }

GoMap& Machine::new_map(mw_u64 address) {
  if (address == 0) {
    address = 0xc000100000ull + maps.size() * 0x1000;
  }
  GoMap& map = maps[address];
  map.address = address;
  return map;
}

void Machine::hold_all(mw_u32 tgid) {
  mw_policy policy = {};
  policy.flags = MW_POLICY_HOLD_ALL;
  policy.dwell_ns = 50'000;
  policy.dwell_max_ns = 200'000;
  policy.hold_max_ns = 200'000;
  policy.per_second = 20;
  policy.one_in = 100;
  policy.share_ppm = 20'000;
  policy.burst_ns = 5'000'000;
  allow(tgid, policy);
}

void Machine::hit(const Goroutine& goroutine, mw_op op, const GoMap& map, mw_site_class cls, mw_u64 rflags) {
  pt_regs regs = {};
  regs.ax = 0x500000;
  regs.bx = map.address;
  regs.flags = rflags;
  probe(goroutine, regs, MW_COOKIE(op, cls, MW_ARG_FUNC, 0, 7));
}

void Machine::iterate(const Goroutine& goroutine, mw_u64 iterator) {
  pt_regs regs = {};
  regs.ax = iterator;
  probe(goroutine, regs, MW_COOKIE(MW_OP_ITERATE, MW_SITE_PUSH, MW_ARG_ITER, 0, 8));
}

void Machine::probe(const Goroutine& goroutine, pt_regs regs, mw_u64 cookie) {
  const mw_u64 outer = current;
  current = (static_cast<mw_u64>(goroutine.tgid) << 32) | goroutine.tid;
  regs.r14 = goroutine.g;
  regs.ip = 0x400100;
  regs.sp = stack_of(goroutine);
  words[regs.sp] = goroutine.caller_pc;
  words[goroutine.g + layout.goid] = goroutine.g & 0xffff;
  Thread& thread = threads[goroutine.tid];
  thread.state.tid = goroutine.tid;
  thread.state.tgid = goroutine.tgid;
  thread.state.on_cpu = 1;
  thread.regs = regs;
  mw_on_map(&thread.regs, cookie);
  thread.regs.ip += MW_COOKIE_CLASS(cookie) == MW_SITE_CALL ? kCallBytes : 1;  // emulated
  now += 1000;
  current = outer;
}

void Machine::preempt(const Goroutine& goroutine) {
  Thread& thread = threads[goroutine.tid];
  thread.state.on_cpu = 0;
  thread.state.switches += 1;
}

void Machine::run(const Goroutine& goroutine) { threads[goroutine.tid].state.on_cpu = 1; }

void Machine::take_off(const Goroutine& goroutine, mw_u64 ip) {
  preempt(goroutine);
  threads[goroutine.tid].regs.ip = ip;
}

void Machine::exec(mw_u32 tgid, bool every) {
  const mw_u64 outer = current;
  current = (static_cast<mw_u64>(tgid) << 32) | tgid;
  mw_on_exec(every);
  current = outer;
}

void Machine::fatal(const Goroutine& goroutine, mw_u64 frame) {
  current = (static_cast<mw_u64>(goroutine.tgid) << 32) | goroutine.tid;
  pt_regs regs = {};
  regs.ax = 0x600000;
  regs.bx = 8;
  regs.r14 = goroutine.g;
  regs.ip = 0x400900;
  regs.sp = frame - 0x40;
  regs.bp = frame;
  words[0x600000] = 0;
  mw_on_fatal(&regs, MW_COOKIE(MW_OP_FATAL, MW_SITE_PUSH, MW_ARG_NONE, 0, 9));
  current = 0;
}

void Machine::fatal(const Goroutine& goroutine, const std::string& text, bool readable) {
  const mw_u64 outer = current;
  current = (static_cast<mw_u64>(goroutine.tgid) << 32) | goroutine.tid;
  pt_regs regs = {};
  regs.ax = 0x600000;
  regs.bx = text.size();
  regs.cx = 0xc0;
  regs.r8 = 0x88;
  regs.r15 = 0x1515;
  regs.r14 = goroutine.g;
  regs.ip = 0x400200;
  regs.sp = 0x7000000000ull;
  regs.bp = 0x7000000100ull;
  words[regs.sp] = goroutine.caller_pc;
  words[goroutine.g + layout.goid] = goroutine.g & 0xffff;
  texts.clear();
  if (readable) {
    texts[regs.ax] = text;
  }
  mw_on_fatal(&regs, MW_COOKIE(MW_OP_FATAL, MW_SITE_PUSH, MW_ARG_NONE, 0, 9));
  now += 1000;
  current = outer;
}

void Machine::call_hook(const std::string& point) {
  if (!hook || in_hook_) {
    return;
  }
  in_hook_ = true;
  hook(point);
  in_hook_ = false;
}

}  // namespace mapwatch::bpf_test

using mapwatch::bpf_test::machine;

int bpf_probe_read_user(void* to, mw_u32 size, const void* from) {
  const auto address = reinterpret_cast<mw_u64>(from);
  for (auto& [base, map] : machine->maps) {
    if (base <= address && address + size <= base + map.header.size()) {
      std::memcpy(to, map.header.data() + (address - base), size);
      return 0;
    }
  }
  const auto text = machine->resident.find(address);
  if (text != machine->resident.end() && size <= text->second.size()) {
    std::memcpy(to, text->second.data(), size);
    return 0;
  }
  const auto word = machine->words.find(address);
  if (word == machine->words.end() || size != sizeof(mw_u64)) {
    return -14;
  }
  std::memcpy(to, &word->second, size);
  return 0;
}

int bpf_copy_from_user(void* to, mw_u32 size, const void* from) {
  const auto text = machine->texts.find(reinterpret_cast<mw_u64>(from));
  if (text == machine->texts.end() || text->second.size() < size) {
    return bpf_probe_read_user(to, size, from);
  }
  std::memcpy(to, text->second.data(), size);
  return 0;
}

long bpf_send_signal(mw_u32 signal) {
  if (machine->signal_fails) {
    return -1;
  }
  machine->signals.emplace_back(signal, static_cast<mw_u32>(machine->current >> 32));
  return 0;
}
mw_u64 bpf_ktime_get_ns() { return machine->now += 30; }
mw_u64 bpf_get_current_task() { return mapwatch::bpf_test::kTask + static_cast<mw_u32>(machine->current); }
mw_u64 bpf_get_current_pid_tgid() { return machine->current; }
mw_u32 bpf_get_smp_processor_id() { return 0; }
mw_u32 bpf_get_prandom_u32() {
  machine->random = machine->random * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<mw_u32>(machine->random >> 32);
}

long bpf_get_stack(pt_regs* ctx, void* to, mw_u32 size, mw_u64) {
  const mw_u64 chain[2] = {ctx->ip, 0x402000};
  if (size < sizeof(chain)) {
    return -14;
  }
  std::memcpy(to, chain, sizeof(chain));
  return sizeof(chain);
}

long bpf_loop(mw_u32 turns, void* callback, void* context, mw_u64) {
  auto* turn = reinterpret_cast<long (*)(mw_u32, void*)>(callback);
  for (mw_u32 i = 0; i < turns; ++i) {
    machine->call_hook("turn");
    if (turn(i, context)) {
      return i + 1;
    }
  }
  return turns;
}

void mw_host_yield(const char* point) { machine->call_hook(point); }

namespace {
template <typename Table>
auto* find(Table& table, mw_u32 key) {
  const auto found = table.find(key);
  return found == table.end() ? nullptr : &found->second;
}
}  // namespace

mw_policy* mw_policy_of(mw_u32 tgid) { return find(machine->policies, tgid); }
long mw_policy_insert(mw_u32 tgid, const mw_policy* policy) {
  if (machine->policies.contains(tgid)) {
    return -17;
  }
  return machine->policies_full || !machine->policies.emplace(tgid, *policy).second ? -7 : 0;
}
void mw_policy_drop(mw_u32 tgid) { machine->policies.erase(tgid); }
mw_bucket* mw_bucket_of(mw_u32 tgid) { return find(machine->buckets, tgid); }
mw_layout* mw_layout_at(mw_u32 index) { return index == 0 ? &machine->layout : nullptr; }
mw_slot* mw_slot_at(mw_u32 index) { return index < machine->slots.size() ? &machine->slots[index] : nullptr; }
mw_heat* mw_heat_at(mw_u32 index) { return index < machine->heats.size() ? &machine->heats[index] : nullptr; }
mw_pair* mw_pair_at(mw_u32 index) { return index < machine->pairs.size() ? &machine->pairs[index] : nullptr; }
mw_left* mw_left_at(mw_u32 index) { return index < machine->lefts.size() ? &machine->lefts[index] : nullptr; }
long mw_thread_look(mw_u64 task, mw_thread* thread) {
  const auto* found = find(machine->threads, static_cast<mw_u32>(task - mapwatch::bpf_test::kTask));
  if (found == nullptr) {
    return -1;
  }
  *thread = found->state;
  return 0;
}
mw_u64 mw_cpu_queue() { return 1; }
mw_u32 mw_cpu_queue_length(mw_u64) { return machine->queue_length; }
mw_doing* mw_doing_at(mw_u32 index) { return index < machine->doings.size() ? &machine->doings[index] : nullptr; }
mw_caller_count* mw_caller_count_at(mw_u32 index) {
  return index < machine->callers.size() ? &machine->callers[index] : nullptr;
}
mw_counters* mw_counters_here() { return &machine->counters; }
mw_site_counts* mw_site_counts_of(mw_u32 site) { return &machine->sites[site]; }
mw_target_counts* mw_target_counts_of(const mw_policy* policy) { return &machine->targets[policy->slot]; }

int mw_freeze_gate_open() { return machine->gate_open; }
int mw_freeze_claim(mw_u32 tgid, mw_u64 now) { return machine->frozen.emplace(tgid, now).second; }
mw_freeze_note* mw_freeze_note_reserve() { return machine->notes_full ? nullptr : &mapwatch::bpf_test::reserved_note; }
void mw_freeze_note_submit(mw_freeze_note* note) { machine->notes.push_back(*note); }
void mw_freeze_note_discard(mw_freeze_note*) {}

void* mw_event_reserve(mw_u64 size) {
  if (machine->ring_full || size > sizeof(mapwatch::bpf_test::reserved)) {
    return nullptr;
  }
  return &mapwatch::bpf_test::reserved;
}

void mw_event_discard(void*) {}

void mw_event_submit(void* event) {
  const auto* head = static_cast<mw_event_head*>(event);
  if (head->kind == MW_EVENT_NEW || head->kind == MW_EVENT_EXEC) {
    machine->heads.push_back(*head);
    return;
  }
  if (head->kind == MW_EVENT_FATAL) {
    machine->fatals.push_back(*static_cast<mw_fatal_event*>(event));
    return;
  }
  if (head->kind == MW_EVENT_OVER) {
    machine->overs.push_back(*static_cast<mw_over_event*>(event));
    return;
  }
  machine->events.push_back(*static_cast<mw_access_event*>(event));
}
