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

static __always_inline mw_u64 mw_map_register(mw_u32 arg, const struct pt_regs* regs) {
  mw_u64 ax = MW_REG(regs, ax); /* a method's map, an iterator */
  mw_u64 bx = MW_REG(regs, bx);
  mw_u64 cx = MW_REG(regs, cx);
  return arg == MW_ARG_FUNC ? bx : arg == MW_ARG_ITER_INIT ? cx : ax;
}

/* Notes where this thread stands, for the watch of `generation` that it leaves. */
static __always_inline int mw_left_note(const struct mw_hit* hit, const struct pt_regs* ctx, mw_u32 generation,
                                        mw_u64 watch_ns, mw_u64 held_ns) {
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
  left->map_register = mw_map_register(hit->arg, ctx);
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
  struct mw_thread before;
  struct mw_thread after;
  struct pt_regs regs;
  if (mw_thread_look(left->task, &before) || before.on_cpu || before.tid != left->tid || before.tgid != left->tgid) {
    return 0;
  }
  MW_YIELD(left_looked);
  if (bpf_probe_read_kernel(&regs, sizeof(regs), (const void*)left->regs)) {
    return 0;
  }
  MW_YIELD(left_read);
  if (mw_thread_look(left->task, &after) || after.on_cpu || after.switches != before.switches ||
      after.tid != left->tid) {
    return 0;
  }
  mw_u64 ip = regs.ip;
  int at_entry =
      left->site_class == MW_SITE_CALL ? ip == left->ip || ip == left->target : ip - left->ip <= MW_PROLOGUE_BYTES;
  return at_entry && regs.r14 == left->g && mw_map_register(left->arg, &regs) == left->map_register;
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
  side.left = left;
  return mw_emit_access(ctx, &hit, &side);
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
