/* How many hits a process may be charged until the governor looks again. The governor is told at once when they are
 * used up, needs some milliseconds to learn which site has become hot and tens of them to detach it; where that takes
 * longer this keeps a hit as short as it can be. */
#ifndef MAPWATCH_LIMIT_BPF_H
#define MAPWATCH_LIMIT_BPF_H

#include <emit.bpf.h>

/* A CPU draws this many hits at a time, so that CPUs do not contend for one word at each hit. */
#define MW_CREDIT 16

/* Tells user space once an epoch. */
static MW_NOINLINE int mw_emit_over(struct mw_bucket* bucket, mw_u32 epoch) {
  struct mw_counters* counters = mw_counters_here();
  if (!bucket || !counters) {
    return 0;
  }
  mw_u32 told = MW_LOAD(bucket->over_epoch);
  if (told == epoch || __sync_val_compare_and_swap(&bucket->over_epoch, told, epoch) != told) {
    return 0;
  }
  struct mw_over_event* event = (struct mw_over_event*)mw_event_reserve(sizeof(*event));
  if (!event) {
    counters->lost_ring += 1;
    return 0;
  }
  mw_head_fill(&event->head, MW_EVENT_OVER, sizeof(*event), bpf_ktime_get_ns(), bpf_get_current_pid_tgid(), 0);
  event->epoch = epoch;
  event->pad0 = 0;
  mw_event_submit(event);
  return 0;
}

static MW_NOINLINE int mw_draw_credit(const struct mw_policy* policy, struct mw_target_counts* counts) {
  if (!policy || !counts) {
    return 0;
  }
  mw_u32 epoch = policy->epoch;
  struct mw_bucket* bucket = mw_bucket_of(policy->tgid);
  if (!bucket) {
    return 0;
  }
  mw_u32 before = MW_LOAD(bucket->epoch);
  /* Who moves the epoch fills the pool; who draws in between draws from the old one, which is worth a few hits. */
  if (before != epoch && __sync_val_compare_and_swap(&bucket->epoch, before, epoch) == before) {
    MW_STORE(bucket->hits_left, (mw_s64)policy->hit_limit);
  }
  mw_s64 left = MW_LOAD(bucket->hits_left);
  if (left <= 0) {
    mw_emit_over(bucket, epoch);
    if (left <= -(mw_s64)MW_OVERRUN) {
      return 0;
    }
  }
  __sync_fetch_and_add(&bucket->hits_left, -MW_CREDIT);
  counts->credit = MW_CREDIT - 1;
  return 1;
}

/* May this hit be looked at? No: the process has used up its hits of this epoch, and those that it may overrun by. */
static __always_inline int mw_within_limit(const struct mw_policy* policy, struct mw_target_counts* counts) {
  if (policy->hit_limit == 0) {
    return 1;
  }
  if (counts->epoch != policy->epoch) {
    counts->epoch = policy->epoch;
    counts->credit = 0;
  }
  if (counts->credit) {
    counts->credit -= 1;
    return 1;
  }
  return mw_draw_credit(policy, counts);
}

#endif
