/* Stopping a process at the first instruction of its fatal path, before Go prints or takes its print lock. */
#ifndef MAPWATCH_FREEZE_BPF_H
#define MAPWATCH_FREEZE_BPF_H

#include <emit.bpf.h>

#define MW_SIGSTOP 19 /* x86, include/uapi/asm-generic/signal.h */

/* What a fatal error's text begins with when two goroutines used one map at once. The rest of the text tells reads from
 * writes, which decides nothing here. Texts: docs of classify_map_fatal (user/correlate). */
#define MW_TEXT_BEGINS(text, with) (__builtin_memcmp(text, with, sizeof(with) - 1) == 0)

static __always_inline int mw_is_map_fatal(const mw_u8* text) {
  return MW_TEXT_BEGINS(text, "concurrent map ") || MW_TEXT_BEGINS(text, "small map with no empty slot (");
}

/* Freezes the process if its policy asks for that at this text. Returns mw_fatal_flags. Whoever stops a process must be
 * sure that somebody will let it go: without room for the guardian's note there is no freeze. */
static __always_inline mw_u32 mw_freeze(mw_u32 tgid, mw_u32 tid, mw_u32 policy, int map_fatal, mw_u64 now) {
  if (!(policy & MW_POLICY_FREEZE_ALL) && !((policy & MW_POLICY_FREEZE) && map_fatal)) {
    return 0;
  }
  if (!mw_freeze_claim(tgid, now)) {
    return MW_FATAL_SECOND;
  }
  struct mw_freeze_note* note = mw_freeze_note_reserve();
  if (!note) {
    return MW_FATAL_NOT_FROZEN;
  }
  if (!mw_freeze_gate_open()) {
    mw_freeze_note_discard(note);
    return MW_FATAL_NOT_FROZEN;
  }
  note->tgid = tgid;
  note->tid = tid;
  note->time_ns = now;
  /* The note after the signal: the guardian must not continue what is not stopped yet. */
  if (bpf_send_signal(MW_SIGSTOP)) {
    mw_freeze_note_discard(note);
    return MW_FATAL_NOT_FROZEN;
  }
  mw_freeze_note_submit(note);
  return MW_FATAL_FROZEN;
}

static __always_inline void mw_regs_fill(struct mw_regs* regs, const struct pt_regs* ctx) {
  regs->r15 = MW_REG(ctx, r15);
  regs->r14 = MW_REG(ctx, r14);
  regs->r13 = MW_REG(ctx, r13);
  regs->r12 = MW_REG(ctx, r12);
  regs->bp = MW_REG(ctx, bp);
  regs->bx = MW_REG(ctx, bx);
  regs->r11 = MW_REG(ctx, r11);
  regs->r10 = MW_REG(ctx, r10);
  regs->r9 = MW_REG(ctx, r9);
  regs->r8 = MW_REG(ctx, r8);
  regs->ax = MW_REG(ctx, ax);
  regs->cx = MW_REG(ctx, cx);
  regs->dx = MW_REG(ctx, dx);
  regs->si = MW_REG(ctx, si);
  regs->di = MW_REG(ctx, di);
  regs->ip = MW_REG(ctx, ip);
  regs->flags = MW_REG(ctx, flags);
  regs->sp = MW_REG(ctx, sp);
}

#endif
