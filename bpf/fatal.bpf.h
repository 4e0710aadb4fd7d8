/* runtime.fatal and runtime.throw: what the runtime is about to say, and who says it. Sleepable: the string lies in
 * rodata, which need not be resident. */
#ifndef MAPWATCH_FATAL_BPF_H
#define MAPWATCH_FATAL_BPF_H

#include <emit.bpf.h>

/* The map that a frame was called with, when the detector knows that address as a map of this process. ABIInternal
 * reserves spill space for register arguments above the return address: [CFA+0], [CFA+8], ... */
static __always_inline mw_u64 mw_known_map(mw_u32 tgid, mw_u64 address) {
  if (address < 4096) {
    return 0;
  }
  struct mw_slot* slot = mw_slot_at(mw_slot_index(tgid, address));
  return slot && slot->last_map == address && slot->last_tgid == tgid ? address : 0;
}

static __always_inline mw_u64 mw_frame_map(mw_u32 tgid, mw_u64 bp, mw_u32 iter_map) {
  mw_u64 first = mw_read_u64(bp + 16, 0);
  mw_u64 map = mw_known_map(tgid, mw_read_u64(bp + 24, 0));
  if (!map) {
    map = mw_known_map(tgid, first);
  }
  if (!map && first >= 4096) {
    map = mw_known_map(tgid, mw_read_u64(first + iter_map, 0));
  }
  return map;
}

static __always_inline int mw_on_fatal(struct pt_regs* ctx, mw_u64 cookie) {
  mw_u64 id = bpf_get_current_pid_tgid();
  mw_u32 tgid = (mw_u32)(id >> 32);
  struct mw_counters* counters = mw_counters_here();
  struct mw_layout* layout = mw_layout_at(MW_COOKIE_LAYOUT(cookie));
  if (!counters || !layout || !layout->valid || !mw_policy_of(tgid)) {
    return 0;
  }
  mw_u64 now = bpf_ktime_get_ns();
  struct mw_fatal_event* event = (struct mw_fatal_event*)mw_event_reserve(sizeof(*event));
  if (!event) {
    counters->lost_ring += 1;
    return 0;
  }
  mw_u32 site_class = MW_COOKIE_CLASS(cookie);
  mw_head_fill(&event->head, MW_EVENT_FATAL, sizeof(*event), now, id, MW_COOKIE_LAYOUT(cookie));
  event->op = (mw_u8)MW_COOKIE_OP(cookie);
  event->site_class = (mw_u8)site_class;
  event->text_addr = ctx->ax;
  event->g = ctx->r14;
  event->goid = mw_read_u64(ctx->r14 + layout->goid, 0);
  event->gopc = mw_read_u64(ctx->r14 + layout->gopc, 0);
  event->ip = ctx->ip;
  event->sp = ctx->sp;
  event->bp = ctx->bp;
  event->last_map = mw_frame_map(tgid, ctx->bp, layout->iter_map);
  if (!event->last_map) {
    mw_u64 outer = mw_read_u64(ctx->bp, 0); /* 1.24+: the map function calls maps.fatal, which calls runtime.fatal */
    event->last_map = outer ? mw_frame_map(tgid, outer, layout->iter_map) : 0;
  }
  mw_u32 flags = 0;
  mw_u64 length = ctx->bx;
  if (length > MW_MAX_TEXT) {
    length = MW_MAX_TEXT;
    flags |= MW_FATAL_TEXT_CUT;
  }
  event->text_len = (mw_u16)length;
  __builtin_memset(event->text, 0, sizeof(event->text));
  if (length && bpf_copy_from_user(event->text, (mw_u32)length, (const void*)ctx->ax)) {
    flags |= MW_FATAL_TEXT_UNREADABLE;
  }
  event->flags = flags | mw_stack_fill(&event->stack, ctx, site_class) << 8;
  mw_event_submit(event);
  return 0;
}

/* An exec keeps PID and start time and changes the binary: the old policy must not outlive it. */
static __always_inline int mw_on_exec(void) {
  mw_u64 id = bpf_get_current_pid_tgid();
  mw_u32 tgid = (mw_u32)(id >> 32);
  struct mw_counters* counters = mw_counters_here();
  if (!counters || !mw_policy_of(tgid)) {
    return 0;
  }
  mw_policy_drop(tgid);
  struct mw_event_head* event = (struct mw_event_head*)mw_event_reserve(sizeof(*event));
  if (!event) {
    counters->lost_ring += 1;
    return 0;
  }
  mw_head_fill(event, MW_EVENT_EXEC, sizeof(*event), bpf_ktime_get_ns(), id, 0);
  mw_event_submit(event);
  return 0;
}

#endif
