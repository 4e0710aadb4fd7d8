/* runtime.fatal and runtime.throw: what the runtime is about to say, and who says it. Sleepable: the string lies in
 * rodata, which need not be resident. */
#ifndef MAPWATCH_FATAL_BPF_H
#define MAPWATCH_FATAL_BPF_H

#include <adopt.bpf.h>
#include <freeze.bpf.h>

/* Frames between the fatal path and the probed function: the map function itself, maps.fatal (1.24+), a wrapper. */
#define MW_FATAL_FRAMES 4u

/* What the goroutine was doing when it came here: its last hit, if the frame of that hit is one of the innermost. The
 * frame is told by the place of its return address: [RSP] at the probe, [RBP + 8] in a frame. (The arguments' spill
 * slots do not serve: a function that never spilled them leaves older values there.) */
static __always_inline struct mw_doing* mw_doing_of(mw_u32 tgid, const struct pt_regs* ctx) {
  struct mw_doing* doing = mw_doing_at(mw_doing_index(tgid, MW_REG(ctx, r14)));
  if (!doing || doing->g != MW_REG(ctx, r14) || doing->tgid != tgid) {
    return 0;
  }
  mw_u64 frame = MW_REG(ctx, bp);
  for (mw_u32 i = 0; i < MW_FATAL_FRAMES; i++) {
    if (frame + 8 == doing->sp) {
      return doing;
    }
    frame = mw_read_u64(frame, 0);
    if (!frame) {
      return 0;
    }
  }
  return 0;
}

/* The crash's map and who else wrote it last. */
static __always_inline void mw_tell_map(struct mw_fatal_event* event, struct mw_doing* doing, mw_u32 tgid,
                                        const struct mw_layout* layout) {
  event->last_map = event->last_type = event->last_len = 0;
  event->other_g = event->other_goid = event->other_pc = 0;
  event->other_op = MW_OP_NONE;
  event->pad0 = 0;
  if (!doing) {
    return;
  }
  mw_u64 map = doing->map;
  event->last_map = map;
  event->last_type = doing->note & MW_NOTE_ITERATES ? mw_read_u64(doing->type + layout->iter_type, 0) : doing->type;
  event->last_len = mw_read_u64(map + layout->map_len, 0);
  struct mw_slot* slot = mw_slot_at(mw_slot_index(tgid, map));
  if (!slot || MW_LOAD(slot->last_map) != map || MW_LOAD(slot->last_tgid) != tgid) {
    return;
  }
  mw_u64 writer = MW_LOAD(slot->lastw_g);
  if (writer == event->g) {
    writer = MW_LOAD(slot->prevw_g);
  }
  if (!writer || writer == event->g) {
    return;
  }
  struct mw_caller caller;
  event->other_g = writer;
  event->other_goid = mw_read_u64(writer + layout->goid, 0);
  event->other_op = MW_OP_WRITE;
  if (mw_caller_of(tgid, writer, map, &caller)) {
    event->other_op = caller.op;
    event->other_pc = caller.pc;
  }
}

static __always_inline int mw_on_fatal(struct pt_regs* ctx, mw_u64 cookie) {
  mw_u64 id = bpf_get_current_pid_tgid();
  mw_u32 tgid = (mw_u32)(id >> 32);
  struct mw_counters* counters = mw_counters_here();
  struct mw_layout* layout = mw_layout_at(MW_COOKIE_LAYOUT(cookie));
  struct mw_policy* known = mw_policy_of(tgid);
  if (!counters || !layout || !layout->flags || !mw_is_watched(known) || known->layout != MW_COOKIE_LAYOUT(cookie)) {
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
  event->text_addr = MW_REG(ctx, ax);
  event->g = MW_REG(ctx, r14);
  event->goid = mw_read_u64(MW_REG(ctx, r14) + layout->goid, 0);
  event->gopc = mw_read_u64(MW_REG(ctx, r14) + layout->gopc, 0);
  event->ip = MW_REG(ctx, ip);
  event->sp = MW_REG(ctx, sp);
  event->bp = MW_REG(ctx, bp);
  mw_tell_map(event, mw_doing_of(tgid, ctx), tgid, layout);
  mw_u32 flags = 0;
  mw_u64 length = MW_REG(ctx, bx);
  if (length > MW_MAX_TEXT) {
    length = MW_MAX_TEXT;
    flags |= MW_FATAL_TEXT_CUT;
  }
  event->text_len = (mw_u16)length;
  __builtin_memset(event->text, 0, sizeof(event->text));
  if (length && bpf_copy_from_user(event->text, (mw_u32)length, (const void*)MW_REG(ctx, ax))) {
    flags |= MW_FATAL_TEXT_UNREADABLE;
  }
  mw_regs_fill(&event->regs, ctx);
  mw_u32 stack_flags = mw_stack_fill(&event->stack, ctx, site_class);
  /* Read as late as this: user space takes the permission back when the guardian is gone. */
  struct mw_policy* policy = mw_policy_of(tgid);
  int map_fatal = (flags & MW_FATAL_TEXT_UNREADABLE) || mw_is_map_fatal(event->text);
  event->flags = flags | mw_freeze(tgid, (mw_u32)id, policy ? policy->flags : 0, map_fatal, now) | stack_flags << 8;
  mw_event_submit(event);
  return 0;
}

#endif
