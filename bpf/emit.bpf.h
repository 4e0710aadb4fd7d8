/* Fills events. Every loss is counted; nothing here decides. */
#ifndef MAPWATCH_EMIT_BPF_H
#define MAPWATCH_EMIT_BPF_H

#include <go_abi.bpf.h>

/* The user stack of `ctx`, with the immediate caller in its place. bpf_get_stack walks the frame-pointer chain, which
 * at PUSH, JCC and ENTRY skips the caller (RBP is still the caller's frame); kernels with cfa7f3d2c526 ("perf,x86:
 * avoid missing caller address in stack traces captured in uprobe") insert it at a push themselves. The chain is
 * written one word further on, so that the caller can take the word of the chain's own first entry. Returns
 * mw_access_flags. */
static __always_inline mw_u32 mw_stack_fill(struct mw_stack* stack, struct pt_regs* ctx, mw_u32 site_class) {
  mw_u64 ip = MW_REG(ctx, ip);
  mw_u32 flags = 0;

  stack->count = 0;
  stack->first = 0;
  stack->pc[0] = ip;
  long bytes = bpf_get_stack(ctx, &stack->pc[1], (MW_MAX_STACK - 1) * sizeof(mw_u64), BPF_F_USER_STACK);
  if (bytes < 0) {
    flags |= MW_ACCESS_STACK_ERROR;
    bytes = 0;
  }
  mw_u32 walked = (mw_u32)bytes / sizeof(mw_u64);
  if (walked >= MW_MAX_STACK - 1) {
    flags |= MW_ACCESS_STACK_CUT;
  }
  mw_u64 ret = site_class == MW_SITE_CALL ? 0 : mw_read_u64(MW_REG(ctx, sp), 0);
  if (site_class != MW_SITE_CALL && ret == 0) {
    flags |= MW_ACCESS_NO_RET;
  }
  if (ret == 0 || (walked > 1 && stack->pc[2] == ret)) {
    /* Whole as it is: starts at pc[1]; without a walk, the probe alone. */
    stack->first = walked ? 1 : 0;
    stack->count = walked ? walked : 1;
    return flags;
  }
  stack->pc[1] = ret; /* over the chain's own first entry, which pc[0] holds */
  stack->count = walked ? walked + 1 : 2;
  return flags;
}

static __always_inline void mw_head_fill(struct mw_event_head* head, mw_u32 kind, mw_u32 size, mw_u64 now,
                                         mw_u64 pid_tgid, mw_u32 layout) {
  head->kind = kind;
  head->size = size;
  head->time_ns = now;
  head->tgid = (mw_u32)(pid_tgid >> 32);
  head->tid = (mw_u32)pid_tgid;
  head->cpu = bpf_get_smp_processor_id();
  head->layout = layout;
}

/* Where a goroutine's last operation was called from. */
struct mw_caller {
  mw_u64 pc; /* a return address, if the operation lasts; user space believes it only after a call of a map function */
  mw_u32 op;
};

/* Of an operation on `map`, if that is the goroutine's last one: read from its own stack. It may end meanwhile, and its
 * return address be overwritten by its caller's next call; one that began another operation is not believed. */
static MW_NOINLINE int mw_caller_of(mw_u32 tgid, mw_u64 g, mw_u64 map, struct mw_caller* caller) {
  struct mw_doing* doing = mw_doing_at(mw_doing_index(tgid, g));
  if (!doing || !caller) {
    return 0;
  }
  mw_u32 note = MW_LOAD(doing->note);
  if (note & MW_NOTE_WRITING || MW_LOAD(doing->g) != g || MW_LOAD(doing->tgid) != tgid || MW_LOAD(doing->map) != map) {
    return 0;
  }
  mw_u64 at = note & MW_NOTE_WRAPPED ? MW_LOAD(doing->bp) + 8 : MW_LOAD(doing->sp);
  MW_YIELD(caller_read);
  caller->pc = mw_read_u64(at, 0);
  caller->op = MW_NOTE_OP(note);
  return MW_LOAD(doing->note) == note;
}

/* What the deciding side knows of an overlap beyond the hit itself. */
struct mw_side {
  mw_u32 role;
  mw_u32 evidence;
  mw_u32 generation;
  mw_u64 now;
  mw_u64 watch_ns;
  mw_u64 held_ns;
  mw_u64 other_g; /* 0: not known */
  mw_u64 other_pc;
  mw_u32 other_op;
};

static __always_inline void mw_count_half(const struct mw_hit* hit, struct mw_counters* counters) {
  counters->overlaps += 1;
  struct mw_target_counts* charged = mw_target_counts_of(hit->policy);
  if (charged) {
    charged->overlaps += 1;
  }
}

/* All but the stack. */
static __always_inline void mw_access_fill(struct mw_access_event* event, struct pt_regs* ctx, const struct mw_hit* hit,
                                           const struct mw_side* side) {
  const struct mw_layout* layout = hit->layout;
  mw_head_fill(&event->head, MW_EVENT_ACCESS, sizeof(*event), side->now, ((mw_u64)hit->tgid << 32) | hit->tid,
               hit->layout_index);
  event->role = (mw_u8)side->role;
  event->evidence = (mw_u8)side->evidence;
  event->op = (mw_u8)hit->op;
  event->site_class = (mw_u8)hit->site_class;
  event->site = hit->site;
  event->slot = hit->index;
  event->generation = side->generation;
  event->map = hit->map;
  event->type = mw_type_of(hit, ctx);
  event->len = mw_read_u64(hit->map + layout->map_len, 0);
  event->g = hit->g;
  event->goid = mw_read_u64(hit->g + layout->goid, 0);
  event->gopc = mw_read_u64(hit->g + layout->gopc, 0);
  event->watch_ns = side->watch_ns;
  event->held_ns = side->held_ns;
  event->other_g = side->other_g;
  event->other_goid = side->other_g ? mw_read_u64(side->other_g + layout->goid, 0) : 0;
  event->other_pc = side->other_pc;
  event->other_op = (mw_u8)side->other_op;
  event->pad0[0] = event->pad0[1] = event->pad0[2] = 0;
  event->flags = side->other_g ? MW_ACCESS_OTHER_KNOWN : 0;
}

/* Reserves the event of a half and counts the half; 0: the ring is full. */
static __always_inline struct mw_access_event* mw_access_reserve(const struct mw_hit* hit,
                                                                 struct mw_counters* counters) {
  struct mw_access_event* event = (struct mw_access_event*)mw_event_reserve(sizeof(*event));
  if (!event) {
    mw_count_half(hit, counters);
    counters->lost_ring += 1;
  }
  return event;
}

static MW_NOINLINE int mw_emit_access(struct pt_regs* ctx, const struct mw_hit* hit, const struct mw_side* side) {
  struct mw_counters* counters = mw_counters_here();
  if (!ctx || !hit || !side || !counters) {
    return 0;
  }
  struct mw_access_event* event = mw_access_reserve(hit, counters);
  if (!event) {
    return 0;
  }
  mw_access_fill(event, ctx, hit, side);
  event->flags |= mw_stack_fill(&event->stack, ctx, hit->site_class);
  mw_count_half(hit, counters);
  mw_event_submit(event);
  return 1;
}

#endif
