/* Watches that are left standing. A thread that dwells keeps its CPU, and the goroutine that would meet it may be
 * waiting for just that one: threads of a process that sleeps a lot wake where they slept. So a dwell ends when
 * somebody comes to wait for its CPU, and its watch is left: the thread is on its way out of the kernel, and the
 * scheduler takes the CPU from it before it gets to user space. Whoever comes meanwhile looks whether it stands there
 * still, and reports it only if it does: not running, with the registers of the operation's first instructions. See
 * docs/overlap-detector.md. */
#ifndef MAPWATCH_LEFT_BPF_H
#define MAPWATCH_LEFT_BPF_H

#include <emit.bpf.h>
#include <watch.bpf.h>

/* Bytes of a function behind the probe where its arguments are in their registers still: the emulated push or jbe. */
#define MW_PROLOGUE_BYTES 6u
/* Of `call rel32`: opcode and displacement. */
#define MW_CALL_BYTES 5u

static __always_inline struct mw_left* mw_left_of(mw_u32 slot) { return mw_left_at(slot & (MW_LEFTS - 1)); }

/* Saved registers of another thread, one by one: all of them would take a third of a program's stack. */
static __always_inline mw_u64 mw_saved(mw_u64 regs, mw_u64 offset) {
  mw_u64 value = 0;
  return bpf_probe_read_kernel(&value, sizeof(value), (const void*)(regs + offset)) ? 0 : value;
}
#define MW_SAVED(regs, name) mw_saved(regs, __builtin_offsetof(struct pt_regs, name))

static __always_inline mw_u64 mw_saved_map_register(mw_u32 arg, mw_u64 regs) {
  if (arg == MW_ARG_FUNC) {
    return MW_SAVED(regs, bx);
  }
  return arg == MW_ARG_ITER_INIT ? MW_SAVED(regs, cx) : MW_SAVED(regs, ax);
}

/* Notes where this thread stands, for the watch of `generation` that it leaves. */
static MW_NOINLINE int mw_left_note(const struct mw_hit* hit, struct pt_regs* ctx, mw_u32 generation, mw_u64 watch_ns,
                                    mw_u64 held_ns) {
  if (!hit || !ctx) {
    return 0;
  }
  struct mw_left* left = mw_left_of(hit->index);
  if (!left) {
    return 0;
  }
  mw_u64 ip = MW_REG(ctx, ip);
  mw_u32 displacement = 0;
  if (hit->site_class == MW_SITE_CALL &&
      bpf_probe_read_user(&displacement, sizeof(displacement), (const void*)(ip + 1))) {
    return 0;
  }
  MW_STORE(left->slot, MW_NO_SLOT);
  MW_YIELD(left_fill);
  left->task = bpf_get_current_task();
  left->regs = (mw_u64)ctx;
  left->g = hit->g;
  left->type = hit->type;
  left->map = hit->map;
  left->map_at = hit->arg == MW_ARG_ITER ? hit->type + hit->layout->iter_map : 0;
  left->ip = ip;
  left->target = ip + MW_CALL_BYTES + (mw_u64)(mw_s64)(int)displacement;
  left->sp = mw_return_slot(hit, ctx);
  left->bp = MW_REG(ctx, bp);
  left->watch_ns = watch_ns;
  left->held_ns = held_ns;
  left->tgid = hit->tgid;
  left->tid = hit->tid;
  left->site = hit->site;
  left->op = (mw_u8)hit->op;
  left->site_class = (mw_u8)hit->site_class;
  left->arg = (mw_u8)hit->arg;
  left->cpu = (mw_u16)bpf_get_smp_processor_id();
  MW_STORE(left->generation, generation);
  MW_YIELD(left_filled);
  MW_STORE(left->slot, hit->index);
  return 1;
}

/* Is the thread, between its two looks, not running and where the note says? A thread that is not running has in its
 * saved registers what it last left user space with. Two looks, because it may run in between: a thread that was
 * switched in and out again has another count of switches. */
static MW_NOINLINE int mw_left_stands(struct mw_left* left) {
  if (!left) {
    return 0;
  }
  struct mw_thread thread;
  if (mw_thread_look(left->task, &thread) || thread.on_cpu || thread.tid != left->tid || thread.tgid != left->tgid) {
    return 0;
  }
  mw_u64 switches = thread.switches;
  MW_YIELD(left_looked);
  mw_u64 ip = MW_SAVED(left->regs, ip);
  int called = left->site_class == MW_SITE_CALL && ip == left->target;
  int at_entry = left->site_class == MW_SITE_CALL ? called || ip == left->ip : ip - left->ip <= MW_PROLOGUE_BYTES;
  if (!at_entry || MW_SAVED(left->regs, r14) != left->g ||
      mw_saved_map_register(left->arg, left->regs) != (left->map_at ? left->type : left->map)) {
    return 0;
  }
  /* An iterator on the stack may be another map's by now. */
  if (left->map_at && mw_read_u64(left->map_at, 0) != left->map) {
    return 0;
  }
  /* The same frame, so that the stack that is told is its own: a later operation of its at this place, beyond a limit
   * and so not looked at, may have come from another call. */
  if (MW_SAVED(left->regs, sp) - left->sp + 8 > 16 || MW_SAVED(left->regs, bp) != left->bp ||
      (called && mw_read_u64(left->sp, 0) != left->ip + MW_CALL_BYTES)) {
    return 0;
  }
  MW_YIELD(left_read);
  return !mw_thread_look(left->task, &thread) && !thread.on_cpu && thread.switches == switches &&
         thread.tid == left->tid;
}

/* Takes down a watch that was left; whoever comes first does. */
static __always_inline void mw_left_clear(struct mw_slot* slot, mw_u64 meet) {
  if (__sync_val_compare_and_swap(&slot->meet, meet, MW_MEET(MW_MEET_GEN(meet), 0, 0, MW_DOWN)) == meet) {
    __sync_lock_test_and_set(&slot->map, 0ull);
  }
}

/* The watch that is in the slot, if it was left and its thread has gone on. */
static __always_inline void mw_left_sweep(struct mw_slot* slot, mw_u32 index) {
  mw_u64 meet = MW_LOAD(slot->meet);
  if (MW_MEET_STATE(meet) != MW_LEFT) {
    return;
  }
  struct mw_left* left = mw_left_of(index);
  if (!left || left->slot != index || left->generation != MW_MEET_GEN(meet) || !mw_left_stands(left)) {
    mw_left_clear(slot, meet);
  }
}

struct mw_walk {
  mw_u64* pc;
  mw_u64 frame;
  mw_u32 count;
  mw_u32 pad0;
};

static long mw_walk_turn(mw_u32 turn, void* data) {
  struct mw_walk* walk = (struct mw_walk*)data;
  mw_u64 words[2]; /* the caller's frame, the return address */
  if (!walk->frame || walk->count >= MW_MAX_STACK ||
      bpf_probe_read_user(words, sizeof(words), (const void*)walk->frame) || !words[1]) {
    return 1;
  }
  walk->pc[walk->count & (MW_MAX_STACK - 1)] = words[1];
  walk->count += 1;
  int outwards = words[0] > walk->frame;
  walk->frame = words[0];
  return !outwards;
}

/* The stack of a thread of this process that stands still, as mw_stack_fill() has that of this one. */
static __always_inline mw_u32 mw_stack_of_left(struct mw_stack* stack, const struct mw_left* left) {
  mw_u32 flags = 0;
  struct mw_walk walk = {.pc = stack->pc, .frame = left->bp, .count = 1};
  stack->first = 0;
  stack->pc[0] = left->ip;
  if (left->site_class != MW_SITE_CALL) {
    stack->pc[1] = mw_read_u64(left->sp, 0);
    walk.count = stack->pc[1] ? 2 : 1;
    flags |= stack->pc[1] ? 0 : MW_ACCESS_NO_RET;
  }
  bpf_loop(MW_MAX_STACK, (void*)mw_walk_turn, &walk, 0);
  stack->count = walk.count;
  return flags | (walk.count >= MW_MAX_STACK ? MW_ACCESS_STACK_CUT : 0);
}

/* 1: sent; 0: the ring is full; -1: the note was written anew meanwhile. */
static MW_NOINLINE int mw_emit_left(struct pt_regs* ctx, const struct mw_hit* hit, const struct mw_side* side,
                                    struct mw_left* left) {
  struct mw_counters* counters = mw_counters_here();
  if (!ctx || !hit || !side || !left || !counters) {
    return 0;
  }
  struct mw_access_event* event = mw_access_reserve(hit, counters);
  if (!event) {
    return 0;
  }
  mw_access_fill(event, ctx, hit, side);
  event->head.cpu = left->cpu;
  event->flags |= mw_stack_of_left(&event->stack, left);
  MW_YIELD(left_told);
  if (MW_LOAD(left->slot) != hit->index || MW_LOAD(left->generation) != side->generation) {
    mw_event_discard(event);
    return -1;
  }
  mw_count_half(hit, counters);
  mw_event_submit(event);
  return 1;
}

/* The half of the one who stands, told by the one who came. */
static MW_NOINLINE int mw_left_report(struct pt_regs* ctx, const struct mw_hit* visitor, struct mw_left* left) {
  if (!ctx || !visitor || !left) {
    return -1;
  }
  struct mw_hit hit = *visitor;
  hit.g = left->g;
  hit.tid = left->tid;
  hit.type = left->type;
  hit.op = left->op;
  hit.site_class = left->site_class;
  hit.arg = left->arg;
  hit.site = left->site;
  struct mw_side side = {};
  side.role = MW_ROLE_WATCHER;
  side.evidence = MW_EVIDENCE_WATCH;
  side.generation = left->generation;
  side.now = bpf_ktime_get_ns();
  side.watch_ns = left->watch_ns;
  side.held_ns = left->held_ns;
  return mw_emit_left(ctx, &hit, &side, left);
}

/* A watch that was left, of another goroutine, on the map of this hit. True: it stands, and its half is told. Else it
 * is taken down. */
static MW_NOINLINE int mw_visit_left(struct pt_regs* ctx, const struct mw_hit* hit, mw_u32 generation) {
  if (!ctx || !hit) {
    return 0;
  }
  struct mw_slot* slot = mw_slot_at(hit->index);
  struct mw_left* left = mw_left_of(hit->index);
  if (!slot || !left) {
    return 0;
  }
  mw_u64 meet = MW_LOAD(slot->meet);
  if (MW_MEET_GEN(meet) != generation || MW_MEET_STATE(meet) != MW_LEFT) {
    return 0;
  }
  /* Its half is sent only if the note was this watch's from before the look until after its last word was read. */
  if (MW_LOAD(left->slot) == hit->index && MW_LOAD(left->generation) == generation && left->g != hit->g &&
      mw_left_stands(left) && mw_left_report(ctx, hit, left) >= 0) {
    return 1;
  }
  mw_left_clear(slot, meet);
  return 0;
}

#endif
