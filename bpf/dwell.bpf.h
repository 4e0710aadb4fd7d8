/* What holds a goroutine: a mark that is set, and the dwell. See docs/overlap-detector.md. */
#ifndef MAPWATCH_DWELL_BPF_H
#define MAPWATCH_DWELL_BPF_H

#include <allowance.bpf.h>
#include <emit.bpf.h>
#include <left.bpf.h>
#include <watch.bpf.h>

/* Turns of a spin; each reads the clock (20 ns or more), so 200 us end first. The verifier wants a bound all the same.
 */
#define MW_SPIN_TURNS 20000u
/* What was read of a writer's stack later than this after its mark was seen may be another goroutine's by now. */
#define MW_CALLER_NS 20000ull
/* A reader sets no mark to wait for: it is given this long to be through. */
#define MW_READ_GRACE_NS 5000ull
/* Turns for which the loser of a race for a slot waits for the winner's watch to stand. That is some stores away, each
 * of which may have to fetch the line back that the loser reads: some 100 ns, where 64 turns were over before that. */
#define MW_BUSY_TURNS 1000u

struct mw_spin {
  struct mw_slot* slot;
  mw_u64 standing; /* dwell: as published */
  mw_u64 mark;     /* hold: address of the marking byte */
  mw_u32 mask;
  mw_u32 seen;   /* the mark was seen set */
  mw_u64 queue;  /* dwell: mw_cpu_queue() */
  mw_u32 queued; /* and its length at the start */
  mw_u32 pad0;
  mw_u64 start;
  mw_u64 limit;
  mw_u64 now;
};

static __always_inline int mw_mark_set(mw_u64 address, mw_u32 mask, mw_u32* unreadable) {
  mw_u8 byte = 0;
  if (bpf_probe_read_user(&byte, sizeof(byte), (const void*)address)) {
    *unreadable = 1;
    return 0;
  }
  return (byte & mask) != 0;
}

static long mw_dwell_turn(mw_u32 turn, void* data) {
  struct mw_spin* spin = (struct mw_spin*)data;
  if (MW_LOAD(spin->slot->meet) != spin->standing) {
    return 1;
  }
  spin->now = bpf_ktime_get_ns();
  return spin->now - spin->start >= spin->limit || mw_cpu_queue_length(spin->queue) > spin->queued;
}

/* Until the mark has come and gone, or, for a mark that is set already (seen = 1), until it clears. */
static long mw_hold_turn(mw_u32 turn, void* data) {
  struct mw_spin* spin = (struct mw_spin*)data;
  mw_u32 unreadable = 0;
  int set = spin->mask && mw_mark_set(spin->mark, spin->mask, &unreadable);
  if (set) {
    spin->seen = 1;
  } else if (spin->seen || unreadable) {
    return 1;
  }
  spin->now = bpf_ktime_get_ns();
  return spin->now - spin->start >= spin->limit;
}

struct mw_wait {
  struct mw_slot* slot;
  const struct mw_hit* hit;
  struct mw_met met;
  mw_u32 visit;
  mw_u32 pad0;
};

static long mw_busy_turn(mw_u32 turn, void* data) {
  struct mw_wait* wait = (struct mw_wait*)data;
  wait->visit = (mw_u32)mw_visit_slot(wait->slot, wait->hit, &wait->met);
  MW_YIELD(busy);
  return wait->visit != MW_VISIT_BUSY && wait->visit != MW_VISIT_TORN;
}

/* Adds to what the process was held in all. */
static __always_inline void mw_count_held(const struct mw_hit* hit, mw_u64 held_ns) {
  struct mw_target_counts* charged = mw_target_counts_of(hit->policy);
  if (charged) {
    charged->held_ns += held_ns;
  }
}

static __always_inline mw_u64 mw_hold(struct mw_spin* spin, struct mw_counters* counters) {
  spin->start = bpf_ktime_get_ns();
  spin->now = spin->start;
  bpf_loop(MW_SPIN_TURNS, (void*)mw_hold_turn, spin, 0);
  mw_u64 held = bpf_ktime_get_ns() - spin->start;
  counters->holds += 1;
  counters->hold_ns += held;
  return held;
}

/* Notes when the goroutine's operation began, where the clock was read anyway. */
static __always_inline void mw_time_doing(const struct mw_hit* hit, mw_u64 now) {
  struct mw_doing* doing = hit->doing;
  MW_YIELD(time_doing);
  if (doing && MW_LOAD(doing->g) == hit->g) {
    MW_STORE(doing->time_ns, now);
    MW_STORE(doing->timed, MW_LOAD(doing->note));
  }
}

/* Step 1: the mark is set, so another goroutine is inside a write. */
static MW_NOINLINE int mw_marked(struct pt_regs* ctx, struct mw_hit* hit) {
  struct mw_counters* counters = mw_counters_here();
  if (!ctx || !hit || !counters) {
    return 0;
  }
  struct mw_slot* slot = mw_slot_at(hit->index);
  if (!slot) {
    return 0;
  }
  struct mw_side side = {};
  side.role = MW_ROLE_VISITOR;
  side.evidence = MW_EVIDENCE_MARK;
  side.now = bpf_ktime_get_ns();
  mw_time_doing(hit, side.now);
  mw_u64 writer = MW_LOAD(slot->lastw_g);
  /* Where some sites are not armed, another one may have written since, unseen: then nobody is named. */
  if (!(hit->policy->flags & MW_POLICY_PARTIAL) && writer && writer != hit->g && MW_LOAD(slot->last_map) == hit->map &&
      MW_LOAD(slot->last_tgid) == hit->tgid) {
    struct mw_caller caller;
    if (mw_caller_of(hit->tgid, writer, hit->map, &caller) && MW_LOAD(slot->lastw_g) == writer) {
      side.other_g = writer;
      side.other_op = caller.op;
      side.other_pc = bpf_ktime_get_ns() - side.now < MW_CALLER_NS ? caller.pc : 0;
    }
  }
  mw_emit_access(ctx, hit, &side);
  if (hit->policy->flags & MW_POLICY_MARK_ONLY) {
    return 0; /* one CPU: the writer cannot go on while this one spins */
  }
  struct mw_spin spin = {};
  spin.mark = hit->map + hit->layout->mark;
  spin.mask = hit->layout->mark_mask;
  spin.seen = 1;
  spin.limit = hit->policy->hold_max_ns;
  mw_count_held(hit, mw_hold(&spin, counters));
  return 0;
}

/* Step 2, seen from the one who arrives: report and go on at once. */
static MW_NOINLINE int mw_report_visit(struct pt_regs* ctx, struct mw_hit* hit, struct mw_met* met) {
  if (!ctx || !hit || !met) {
    return 0;
  }
  struct mw_side side = {};
  side.role = MW_ROLE_VISITOR;
  side.evidence = MW_EVIDENCE_WATCH;
  side.generation = met->generation;
  side.now = bpf_ktime_get_ns();
  mw_time_doing(hit, side.now);
  side.other_g = met->g;
  side.other_op = met->op;
  return mw_emit_access(ctx, hit, &side);
}

/* What became of a candidate. */
enum mw_dwelt {
  MW_DWELT_OVER = 0, /* held or not, nothing is left to do */
  MW_DWELT_SAME = 1, /* another watch on this map was quicker */
  MW_DWELT_BUSY = 2, /* another one was, and which map it is on could not be told yet */
};

/* Another watch was quicker: its owner is met, once it stands, if it is on this map. */
static MW_NOINLINE int mw_lost_race(struct pt_regs* ctx, struct mw_hit* hit, enum mw_dwelt how) {
  struct mw_counters* counters = mw_counters_here();
  if (!ctx || !hit || !counters) {
    return 0;
  }
  struct mw_slot* slot = mw_slot_at(hit->index);
  if (!slot) {
    return 0;
  }
  struct mw_wait wait = {.slot = slot, .hit = hit};
  bpf_loop(MW_BUSY_TURNS, (void*)mw_busy_turn, &wait, 0);
  if (wait.visit == MW_VISIT_MET) {
    return mw_report_visit(ctx, hit, &wait.met);
  }
  /* Two readers of one map are no loss, nor is a winner that was gone before it could be told which map it was in. */
  mw_u64 map = MW_LOAD(slot->map);
  counters->lost_slot += how == MW_DWELT_BUSY && map && map != hit->map;
  return 0;
}

/* Step 3: stand in the map for the dwell, and see who comes. Where another watch was quicker mw_lost_race() is next;
 * not from here, for kernels before 6.13 have 512 bytes of stack for all calls together. */
static MW_NOINLINE int mw_dwell(struct pt_regs* ctx, struct mw_hit* hit, mw_u64 pair_key) {
  struct mw_counters* counters = mw_counters_here();
  if (!ctx || !hit || !counters) {
    return MW_DWELT_OVER;
  }
  struct mw_slot* slot = mw_slot_at(hit->index);
  const struct mw_policy* policy = hit->policy;
  if (!slot) {
    return MW_DWELT_OVER;
  }
  counters->candidates += 1;
  if (policy->flags & MW_POLICY_MARK_ONLY) {
    return MW_DWELT_OVER;
  }
  struct mw_grant grant;
  struct mw_spin spin = {};
  spin.start = bpf_ktime_get_ns();
  mw_time_doing(hit, spin.start);
  if (!mw_allow(&grant, policy, hit, pair_key, spin.start, counters)) {
    return MW_DWELT_OVER;
  }
  mw_left_sweep(slot, hit->index);
  mw_u64 taken = mw_publish(slot, hit, &spin.standing);
  if (taken) {
    if (taken == MW_BUSY) {
      return MW_DWELT_BUSY;
    }
    counters->lost_slot += taken != hit->map;
    return taken == hit->map ? MW_DWELT_SAME : MW_DWELT_OVER;
  }
  spin.slot = slot;
  spin.limit = grant.dwell_ns;
  spin.now = spin.start;
  spin.queue = mw_cpu_queue();
  spin.queued = mw_cpu_queue_length(spin.queue);
  mw_u64 watch_ns = spin.start;
  bpf_loop(MW_SPIN_TURNS, (void*)mw_dwell_turn, &spin, 0);
  mw_u64 was = spin.standing;
  mw_u64 now = bpf_ktime_get_ns();
  mw_u64 held = now - watch_ns;
  if (!mw_left_note(hit, ctx, MW_MEET_GEN(spin.standing), watch_ns, held) || !mw_leave(slot, spin.standing)) {
    was = mw_take_down(slot, spin.standing);
  }
  counters->dwells += 1;
  counters->dwell_ns += held;
  if (MW_MEET_STATE(was) == MW_MET) {
    struct mw_side side = {};
    side.role = MW_ROLE_WATCHER;
    side.evidence = MW_EVIDENCE_WATCH;
    side.generation = MW_MEET_GEN(spin.standing);
    side.now = now;
    side.watch_ns = watch_ns;
    side.held_ns = held;
    mw_emit_access(ctx, hit, &side);
    /* Let the visitor through first, so that the two do not collide. */
    int visitor_writes = mw_op_writes(MW_MEET_VISITOR_OP(was));
    spin.mark = hit->map + hit->layout->mark;
    spin.mask = visitor_writes ? hit->layout->mark_mask : 0;
    spin.seen = 0;
    spin.limit = visitor_writes ? policy->hold_max_ns : MW_READ_GRACE_NS;
    held += mw_hold(&spin, counters);
  }
  mw_count_held(hit, held);
  mw_charge(&grant, hit, held, bpf_ktime_get_ns());
  return MW_DWELT_OVER;
}

#endif
