/* Processes that the user side does not know yet: they ran exec, or came to a probe of their file. */
#ifndef MAPWATCH_ADOPT_BPF_H
#define MAPWATCH_ADOPT_BPF_H

#include <emit.bpf.h>

static __always_inline int mw_is_watched(const struct mw_policy* policy) {
  return policy && !(policy->flags & MW_POLICY_IGNORE);
}

/* Tells the user side of a process to look at. Whoever is not told of stays unknown, so it is counted. */
static __always_inline struct mw_event_head* mw_new_reserve(struct mw_counters* counters, mw_u64 pid_tgid,
                                                            mw_u32 layout) {
  struct mw_event_head* event = (struct mw_event_head*)mw_event_reserve(sizeof(*event));
  if (!event) {
    counters->lost_ring += 1;
    counters->lost_new += 1;
    return 0;
  }
  mw_head_fill(event, MW_EVENT_NEW, sizeof(*event), bpf_ktime_get_ns(), pid_tgid, layout);
  return event;
}

/* A process came to a probe of a layout that serves all processes of its file, and nobody knows it yet: it ran exec a
 * moment ago, or was forked by a watched one. It is watched from this hit on, by its marks alone. 1: it has a policy
 * now. */
static MW_NOINLINE int mw_adopt(mw_u64 pid_tgid, mw_u32 layout) {
  struct mw_counters* counters = mw_counters_here();
  if (!counters) {
    return 0;
  }
  struct mw_event_head* event = mw_new_reserve(counters, pid_tgid, layout);
  if (!event) {
    return 0;
  }
  struct mw_policy policy = {};
  policy.flags = MW_POLICY_MARK_ONLY | MW_POLICY_ADOPTED;
  policy.tgid = (mw_u32)(pid_tgid >> 32);
  policy.slot = MW_ADOPTED_SLOT;
  policy.layout = layout;
  if (mw_policy_insert(policy.tgid, &policy)) {
    mw_event_discard(event); /* another thread was quicker, or the table is full */
    return 1;
  }
  mw_event_submit(event);
  return 1;
}

/* An exec keeps PID and start time and changes the binary: the old policy must not outlive it. `every`: the user side
 * wants to know of all programs that start. */
static __always_inline int mw_on_exec(int every) {
  mw_u64 id = bpf_get_current_pid_tgid();
  mw_u32 tgid = (mw_u32)(id >> 32);
  struct mw_counters* counters = mw_counters_here();
  if (!counters) {
    return 0;
  }
  struct mw_policy* policy = mw_policy_of(tgid);
  int watched = mw_is_watched(policy) && !(policy->flags & MW_POLICY_ADOPTED);
  if (policy) {
    mw_policy_drop(tgid);
  }
  if (!watched && !every) {
    return 0;
  }
  if (!watched) {
    struct mw_event_head* news = mw_new_reserve(counters, id, MW_NO_LAYOUT);
    if (news) {
      mw_event_submit(news);
    }
    return 0;
  }
  struct mw_event_head* event = (struct mw_event_head*)mw_event_reserve(sizeof(*event));
  if (!event) {
    counters->lost_ring += 1;
    counters->lost_new += every;
    return 0;
  }
  mw_head_fill(event, MW_EVENT_EXEC, sizeof(*event), bpf_ktime_get_ns(), id, 0);
  mw_event_submit(event);
  return 0;
}

#endif
