/* The overlap detector: mark, watch, dwell. See docs/overlap-detector.md. */
#ifndef MAPWATCH_DETECTOR_BPF_H
#define MAPWATCH_DETECTOR_BPF_H

#include <adopt.bpf.h>
#include <dwell.bpf.h>
#include <learn.bpf.h>
#include <limit.bpf.h>

/* Operations of one goroutine after which a map that had two is thought to be handed over. */
#define MW_WARMTH 255u

/* Remembers this access; the pair of sites' key when the map is a candidate, 0 when it is not. Racing stores are
 * harmless: what is remembered only picks candidates and whom to ask who is inside. */
static __always_inline mw_u64 mw_remember(struct mw_slot* slot, const struct mw_hit* hit, const struct pt_regs* ctx) {
  int writes = mw_op_writes(hit->op);
  mw_u64 last = MW_LOAD(slot->last_g);
  if (MW_LOAD(slot->last_map) != hit->map || MW_LOAD(slot->last_tgid) != hit->tgid) {
    mw_first_seen(slot, hit);
    MW_STORE(slot->last_tgid, hit->tgid);
    MW_STORE(slot->last_map, hit->map);
    return 0;
  }
  mw_u64 writer = MW_LOAD(slot->lastw_g);
  mw_u32 warmth = MW_LAST_WARMTH(last);
  int same = MW_LAST_G(last) == (hit->g & MW_ADDR_MASK);
  if (writes && writer != hit->g) {
    MW_STORE(slot->prevw_g, writer);
    MW_STORE(slot->lastw_g, hit->g);
  }
  if (same && warmth == 0) {
    return 0; /* one goroutine's map: the common case ends here */
  }
  mw_u64 place = mw_place(hit, ctx);
  MW_STORE(slot->last_g, MW_LAST(hit->g, same ? warmth - 1 : MW_WARMTH, (mw_u32)place & 0xff));
  if (!writes && (writer == 0 || (writer == hit->g && same))) {
    return 0; /* nobody else is known to write it */
  }
  return (place ^ ((mw_u64)MW_LAST_SITE(last) << 56) ^ hit->tgid) | 1;
}

/* Nobody else has begun an operation on this map since this goroutine's last one: whoever had would be remembered in
 * its place. So its mark need not be read, which is the dearest step of a hit (100 ns against 50 ns for all the
 * others). Holds while every site is armed. */
static __always_inline int mw_alone(struct mw_slot* slot, const struct mw_hit* hit) {
  mw_u64 last = MW_LOAD(slot->last_g);
  return MW_LAST_G(last) == (hit->g & MW_ADDR_MASK) && MW_LAST_WARMTH(last) == 0 &&
         MW_LOAD(slot->last_map) == hit->map && MW_LOAD(slot->last_tgid) == hit->tgid;
}

/* Some stores, and all that says which map a crash is about when nobody was seen on it before. */
static __always_inline void mw_note_doing(struct mw_hit* hit, const struct pt_regs* ctx) {
  struct mw_doing* doing = mw_doing_at(mw_doing_index(hit->tgid, hit->g));
  hit->doing = doing;
  if (!doing) {
    return;
  }
  int iterates = hit->arg == MW_ARG_ITER;
  mw_u32 hits = (doing->note & ~(MW_NOTE_HIT - 1)) + MW_NOTE_HIT;
  MW_STORE(doing->note, hits | MW_NOTE_WRITING);
  MW_STORE(doing->g, hit->g);
  MW_STORE(doing->map, hit->map);
  MW_STORE(doing->type, hit->type);
  MW_STORE(doing->sp, mw_return_slot(hit, ctx));
  MW_STORE(doing->bp, (mw_u64)MW_REG(ctx, bp));
  MW_STORE(doing->tgid, hit->tgid);
  MW_STORE(doing->note,
           hits | hit->op << 4 | (iterates ? MW_NOTE_ITERATES : 0) | (mw_wrapped(hit) ? MW_NOTE_WRAPPED : 0));
}

static __always_inline int mw_on_map(struct pt_regs* ctx, mw_u64 cookie) {
  mw_u64 id = bpf_get_current_pid_tgid();
  struct mw_counters* counters = mw_counters_here();
  if (!counters) {
    return 0;
  }
  struct mw_hit hit = {};
  hit.tgid = (mw_u32)(id >> 32);
  hit.tid = (mw_u32)id;
  hit.layout_index = MW_COOKIE_LAYOUT(cookie);
  hit.layout = mw_layout_at(hit.layout_index);
  if (!hit.layout || !hit.layout->flags) {
    counters->ignored += 1;
    return 0;
  }
  hit.policy = mw_policy_of(hit.tgid);
  if (!hit.policy && (hit.layout->flags & MW_LAYOUT_ADOPT) && mw_adopt(id, hit.layout_index)) {
    hit.policy = mw_policy_of(hit.tgid);
  }
  hit.site_class = MW_COOKIE_CLASS(cookie);
  if (!hit.policy || (hit.policy->flags & MW_POLICY_IGNORE) || hit.policy->layout != hit.layout_index) {
    counters->ignored += 1;
    return 0;
  }
  hit.site = MW_COOKIE_SITE(cookie);
  /* Each trap is paid for, also of an operation on a nil map and beyond a limit: the governor must know where. */
  struct mw_site_counts* at_site = mw_site_counts_of(hit.site);
  if (at_site) {
    at_site->hits += 1;
  }
  struct mw_target_counts* charged = mw_target_counts_of(hit.policy);
  if (charged) {
    charged->hits += 1;
    if (!mw_within_limit(hit.policy, charged)) {
      return 0;
    }
  }
  if (hit.site_class == MW_SITE_JCC && (MW_REG(ctx, flags) & MW_FLAGS_JBE)) {
    counters->ignored += 1;
    return 0;
  }
  hit.op = MW_COOKIE_OP(cookie);
  hit.arg = MW_COOKIE_ARG(cookie);
  hit.g = MW_REG(ctx, r14);
  if (hit.policy->flags & MW_POLICY_LEARN && hit.site_class != MW_SITE_CALL) {
    mw_learn_caller(ctx, &hit);
  }
  int has_map = mw_decode_args(&hit, ctx);
  if (has_map <= 0) {
    counters->ignored += 1;
    counters->lost_read += has_map < 0;
    return 0;
  }
  counters->hits += 1;
  mw_note_doing(&hit, ctx);

  hit.index = mw_slot_index(hit.tgid, hit.map);
  struct mw_slot* slot = mw_slot_at(hit.index);
  if (!slot) {
    return 0;
  }
  mw_u32 unreadable = 0;
  int look = hit.policy->flags & MW_POLICY_PARTIAL || !mw_alone(slot, &hit);
  if (look && mw_mark_set(hit.map + hit.layout->mark, hit.layout->mark_mask, &unreadable)) {
    mw_marked(ctx, &hit);
    mw_remember(slot, &hit, ctx);
    return 0;
  }
  counters->lost_read += unreadable;
  struct mw_met met = {};
  int visit = mw_visit_slot(slot, &hit, &met);
  counters->torn += visit == MW_VISIT_TORN;
  if (visit == MW_VISIT_LEFT) {
    visit = mw_visit_left(ctx, &hit, met.generation) ? MW_VISIT_MET : MW_VISIT_NONE;
  }
  if (visit == MW_VISIT_MET) {
    mw_report_visit(ctx, &hit, &met);
  }
  mw_u64 pair_key = mw_remember(slot, &hit, ctx);
  if (pair_key && at_site) {
    at_site->candidates += 1;
  }
  if (pair_key && visit != MW_VISIT_MET) {
    enum mw_dwelt how = (enum mw_dwelt)mw_dwell(ctx, &hit, pair_key);
    if (how != MW_DWELT_OVER) {
      mw_lost_race(ctx, &hit, how);
    }
  }
  return 0;
}

#endif
