/* The watch table's protocol (design.md section 3, "Publish whole"). The owner of a slot publishes
 *   map: 0 -> BUSY, then g and tgid, then map: BUSY -> M, then meet: DOWN -> STANDING(generation)
 * and takes down in reverse. A visitor reads map, meet, then the fields, then map again, and claims by CAS
 * STANDING -> MET on the very meet it read: that the CAS succeeds proves that the watch stood, with these fields, at
 * that instant; the owner's exchange to DOWN tells it whether somebody claimed. Both sides so agree on each overlap. */
#ifndef MAPWATCH_WATCH_BPF_H
#define MAPWATCH_WATCH_BPF_H

#include <go_abi.bpf.h>

enum mw_visit {
  MW_VISIT_NONE = 0,
  MW_VISIT_MET = 1,
  MW_VISIT_TORN = 2,
  MW_VISIT_BUSY = 3,
  MW_VISIT_LEFT = 4, /* one that was left: mw_visit_left decides */
};

/* What a visitor learns of the watch it met. */
struct mw_met {
  mw_u64 g;
  mw_u32 op;
  mw_u32 generation;
};

static __always_inline int mw_visit_slot(struct mw_slot* slot, const struct mw_hit* hit, struct mw_met* met) {
  mw_u64 map = MW_LOAD(slot->map);
  if (map != hit->map) {
    return map == MW_BUSY ? MW_VISIT_BUSY : MW_VISIT_NONE;
  }
  mw_u64 meet = MW_LOAD(slot->meet);
  MW_YIELD(visit_read_meet);
  mw_u64 g = MW_LOAD(slot->g);
  mw_u32 tgid = MW_LOAD(slot->tgid);
  MW_YIELD(visit_read_fields);
  if (MW_LOAD(slot->map) != hit->map) {
    return MW_VISIT_TORN;
  }
  mw_u32 op = MW_MEET_WATCHER_OP(meet);
  mw_u32 state = MW_MEET_STATE(meet);
  met->g = g;
  met->op = op;
  met->generation = MW_MEET_GEN(meet);
  if (state == MW_LEFT && tgid == hit->tgid && g == hit->g) {
    return MW_VISIT_LEFT; /* its own, that it came away from */
  }
  if (tgid != hit->tgid || g == hit->g || (!mw_op_writes(op) && !mw_op_writes(hit->op))) {
    return MW_VISIT_NONE;
  }
  if (state == MW_LEFT) {
    return MW_VISIT_LEFT;
  }
  if (state == MW_STANDING) {
    mw_u64 claimed = MW_MEET(MW_MEET_GEN(meet), hit->op, op, MW_MET);
    mw_u64 seen = __sync_val_compare_and_swap(&slot->meet, meet, claimed);
    /* Another visitor may have been quicker: the watch stands all the same while its generation is MET. */
    if (seen != meet && (MW_MEET_GEN(seen) != MW_MEET_GEN(meet) || MW_MEET_STATE(seen) != MW_MET)) {
      return MW_VISIT_TORN;
    }
  } else if (state != MW_MET || MW_LOAD(slot->meet) != meet) {
    return state == MW_DOWN ? MW_VISIT_NONE : MW_VISIT_TORN;
  }
  return MW_VISIT_MET;
}

/* Takes the slot, and returns 0; or the map that another watch is in it for, MW_BUSY when that one is about to stand.
 */
static __always_inline mw_u64 mw_publish(struct mw_slot* slot, const struct mw_hit* hit, mw_u64* standing) {
  mw_u64 taken = __sync_val_compare_and_swap(&slot->map, 0ull, MW_BUSY);
  if (taken) {
    return taken;
  }
  mw_u32 generation = MW_MEET_GEN(MW_LOAD(slot->meet)) + 1;
  *standing = MW_MEET(generation, 0, hit->op, MW_STANDING);
  MW_YIELD(publish_busy);
  MW_STORE(slot->g, hit->g);
  MW_STORE(slot->tgid, hit->tgid);
  MW_YIELD(publish_fields);
  __sync_lock_test_and_set(&slot->map, hit->map);
  MW_YIELD(publish_map);
  __sync_lock_test_and_set(&slot->meet, *standing);
  return 0;
}

/* Leaves the watch to those who come. False: somebody came already. */
static __always_inline int mw_leave(struct mw_slot* slot, mw_u64 standing) {
  mw_u64 left = MW_MEET(MW_MEET_GEN(standing), 0, MW_MEET_WATCHER_OP(standing), MW_LEFT);
  return __sync_val_compare_and_swap(&slot->meet, standing, left) == standing;
}

/* Ends the watch; what `meet` held at that instant. */
static __always_inline mw_u64 mw_take_down(struct mw_slot* slot, mw_u64 standing) {
  mw_u64 was = __sync_lock_test_and_set(&slot->meet, MW_MEET(MW_MEET_GEN(standing), 0, 0, MW_DOWN));
  MW_YIELD(take_down_meet);
  __sync_lock_test_and_set(&slot->map, 0ull);
  return was;
}

#endif
