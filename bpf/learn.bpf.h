/* Who calls map functions, counted while their own probes are armed: call sites take the place of functions after a
 * moment, and it is known then which of them are hot. Arming those to find out would cost what the budget forbids. */
#ifndef MAPWATCH_LEARN_BPF_H
#define MAPWATCH_LEARN_BPF_H

#include <go_abi.bpf.h>

/* A read of user memory more: only while the policy asks for it. Races between CPUs lose counts, nothing else. */
static MW_NOINLINE int mw_learn_caller(struct pt_regs* ctx, struct mw_hit* hit) {
  if (!ctx || !hit) {
    return 0;
  }
  mw_u64 pc = mw_read_u64(mw_wrapped(hit) ? (mw_u64)MW_REG(ctx, bp) + 8 : mw_return_slot(hit, ctx), 0);
  struct mw_caller_count* entry = mw_caller_count_at((mw_u32)mw_mix(pc ^ ((mw_u64)hit->tgid << 44)) & (MW_CALLERS - 1));
  if (!entry || !pc) {
    return 0;
  }
  if (entry->pc != pc || entry->tgid != hit->tgid) {
    entry->hits = 0;
    entry->pc = pc;
    entry->tgid = hit->tgid;
  }
  entry->site = hit->site;
  entry->hits += 1;
  return 0;
}

#endif
