/* Which operations may be held, and for how long: bounds per map, per process and per pair of sites (design.md
 * section 3, "Allowance"). Reached by candidates only, so this is where the clock may be read. */
#ifndef MAPWATCH_ALLOWANCE_BPF_H
#define MAPWATCH_ALLOWANCE_BPF_H

#include <go_abi.bpf.h>
#include <mapwatch/allowance.h>

#define MW_SECOND_NS 1000000000ull
/* Beyond it a multiplication could overflow, and any bucket is full. */
#define MW_MOST_REFILL_NS 1000000000000ull
/* A goroutine that comes to a map this soon after a dwell on it stood in a queue behind the held one. */
#define MW_QUEUED_NS 20000ull
#define MW_MAX_LEVEL 2u /* 50 us << 2 = 200 us */
#define MW_CALM_DWELLS 16u
/* A pair of sites that was held less than this in all is new: it need not wait for its map's turn. */
#define MW_EAGER_DWELLS 64u
/* The longest gap that is told from longer ones. */
#define MW_MOST_GAP_NS 2000000000ull

/* What the dwell that was granted may cost and where it is charged. */
struct mw_grant {
  struct mw_heat* heat;
  struct mw_pair* pair;
  struct mw_bucket* bucket;
  mw_u64 dwell_ns;
};

static __always_inline void mw_bucket_refill(struct mw_bucket* bucket, const struct mw_policy* policy, mw_u64 now) {
  mw_u64 then = bucket->refilled_ns;
  if (now <= then + 100000) {
    return;
  }
  /* Whoever moves the stamp owns the interval. */
  if (__sync_val_compare_and_swap(&bucket->refilled_ns, then, now) != then) {
    return;
  }
  mw_u64 elapsed = now - then;
  if (elapsed > MW_MOST_REFILL_NS) {
    elapsed = MW_MOST_REFILL_NS;
  }
  mw_u64 tokens = then ? bucket->tokens_ns + elapsed * policy->share_ppm / 1000000 : policy->burst_ns;
  bucket->tokens_ns = tokens > policy->burst_ns ? policy->burst_ns : tokens;
}

/* The map's own rate: one in `one_in` of its candidate hits, or `per_second` a second at random moments. */
static __always_inline int mw_map_allows(struct mw_heat* heat, const struct mw_policy* policy, const struct mw_hit* hit,
                                         mw_u64 now) {
  if (heat->map != hit->map) {
    heat->map = hit->map;
    heat->next_ns = 0;
    heat->end_ns = 0;
    heat->hits = 0;
    heat->held = 0;
    heat->gap_ns = 0;
    heat->cycle_ns = 0;
    heat->seed = 0;
    heat->level = 0;
    heat->calm = 0;
    heat->queued = 0;
  }
  heat->hits += 1;
  if (heat->end_ns && heat->end_g != hit->g && now - heat->end_ns < MW_QUEUED_NS) {
    heat->level = 0;
    heat->calm = 0;
    heat->queued = 1;
    heat->end_ns = 0;
  }
  return now >= heat->next_ns || (mw_u64)heat->held * policy->one_in < heat->hits;
}

/* Is the map's next operation due within a dwell, if what comes goes on as it came? Of two goroutines that come in
 * turn, every G, one that has just seen the other waits for it in vain: of all their dwells nine in ten or more. */
static __always_inline int mw_due(struct mw_heat* heat, mw_u64 gap_ns, mw_u64 dwell_ns) {
  mw_u64 cycle = heat->cycle_ns;
  mw_u64 gap = gap_ns > MW_MOST_GAP_NS ? MW_MOST_GAP_NS : gap_ns;
  heat->cycle_ns = (mw_u32)(heat->gap_ns + gap);
  heat->gap_ns = (mw_u32)gap;
  return gap + dwell_ns >= cycle;
}

/* Remembers this access as the first one of a map. */
static __always_inline void mw_first_seen(struct mw_slot* slot, const struct mw_hit* hit) {
  MW_STORE(slot->lastw_g, mw_op_writes(hit->op) ? hit->g : 0);
  MW_STORE(slot->prevw_g, 0ull);
  MW_STORE(slot->last_g, MW_LAST(hit->g, 0, 0));
}

/* Is it the map that was at this address before? Each map has a hash seed of its own (runtime/map.go, hmap.hash0;
 * internal/runtime/maps, Map.seed), drawn anew when it is cleared or becomes empty. Memory of maps that live for one
 * request is used again by the next goroutine's: two goroutines, and no map that they share. Then what was remembered
 * of the address is forgotten. */
static __always_inline int mw_same_map(struct mw_heat* heat, const struct mw_hit* hit) {
  mw_u32 seed = 0;
  if (!hit->layout->seed || bpf_probe_read_user(&seed, sizeof(seed), (const void*)(hit->map + hit->layout->seed))) {
    return 1; /* nobody knows */
  }
  mw_u16 half = (mw_u16)seed ? (mw_u16)seed : 1;
  if (heat->seed == half) {
    return 1;
  }
  heat->seed = half;
  struct mw_slot* slot = mw_slot_at(hit->index);
  if (slot) {
    mw_first_seen(slot, hit);
  }
  return 0;
}

/* The process's bucket, shared out among pairs: one that had less than its share may empty it, and one that had its
 * share (the only pair) where somebody is due; the others leave half. A map that nobody is known to share leaves three
 * quarters: it is held by what those that are shared do not use. */
static __always_inline int mw_process_allows(struct mw_grant* grant, const struct mw_policy* policy,
                                             const struct mw_hit* hit, mw_u64 key, int due) {
  struct mw_bucket* bucket = grant->bucket;
  struct mw_pair* pair = grant->pair;
  mw_u64 spent = pair->key == key ? pair->spent_ns : 0;
  mw_u64 share = bucket->pairs ? bucket->spent_ns / bucket->pairs : 0;
  mw_u64 reserve = spent < share || (due && spent == share) ? 0 : policy->burst_ns / 2;
  if (bucket->tokens_ns < grant->dwell_ns + reserve) {
    return 0;
  }
  /* Only now, for it reads the target's memory. */
  if (!mw_same_map(grant->heat, hit) && bucket->tokens_ns < grant->dwell_ns + policy->burst_ns - policy->burst_ns / 4) {
    return 0;
  }
  if (pair->key != key) {
    pair->key = key;
    pair->spent_ns = 0;
    __sync_fetch_and_add(&bucket->pairs, 1);
  }
  return 1;
}

/* For how long: about until the map's next operation is due. A goroutine that slept in between wakes late, and its CPU
 * too (timer slack is 50 us, an idle CPU takes tens of us more), so of two that come by every millisecond, one that
 * stands for 50 us meets the other in 0.2 % of its dwells, one that stands for 200 us in 9 %. Where somebody queued
 * behind a dwell (the map has a lock), it is the shortest one until nobody did for a while. */
static __always_inline mw_u64 mw_dwell_for(struct mw_heat* heat, const struct mw_policy* policy, mw_u64 gap_ns) {
  mw_u32 level = heat->level;
  mw_u64 dwell = (mw_u64)policy->dwell_ns << (level > MW_MAX_LEVEL ? MW_MAX_LEVEL : level);
  if (gap_ns > dwell && !heat->queued) {
    dwell = gap_ns;
  }
  return dwell > policy->dwell_max_ns ? policy->dwell_max_ns : dwell;
}

/* May this candidate be held? Fills `grant` when it may. */
static __always_inline int mw_allow(struct mw_grant* grant, const struct mw_policy* policy, const struct mw_hit* hit,
                                    mw_u64 pair_key, mw_u64 now, struct mw_counters* counters) {
  grant->heat = mw_heat_at(hit->index);
  grant->bucket = mw_bucket_of(hit->tgid);
  grant->pair = mw_pair_at((mw_u32)mw_mix(pair_key) & (MW_PAIRS - 1));
  if (!grant->heat || !grant->bucket || !grant->pair) {
    return 0;
  }
  grant->dwell_ns = policy->dwell_ns;
  if (policy->flags & MW_POLICY_HOLD_ALL) {
    return 1;
  }
  struct mw_heat* heat = grant->heat;
  struct mw_pair* pair = grant->pair;
  mw_u64 seen_ns = heat->map == hit->map ? heat->seen_ns : 0;
  mw_u64 gap_ns = seen_ns && now > seen_ns ? now - seen_ns : 0;
  heat->seen_ns = now;
  mw_u64 spent = pair->key == pair_key ? pair->spent_ns : 0;
  int turn = mw_map_allows(heat, policy, hit, now) || spent < MW_EAGER_DWELLS * (mw_u64)policy->dwell_ns;
  int young = spent < MW_YOUNG_NS;
  grant->dwell_ns = mw_dwell_for(heat, policy, gap_ns);
  int due = mw_due(heat, gap_ns, grant->dwell_ns);
  /* Who comes unlike before is met by the others, which are held at random. */
  if (due ? !turn && !young : !turn || bpf_get_prandom_u32() % MW_UNDUE_ONE_IN) {
    counters->refused_rate += 1;
    return 0;
  }
  mw_bucket_refill(grant->bucket, policy, now);
  if (!mw_process_allows(grant, policy, hit, pair_key, due)) {
    counters->refused_budget += 1;
    return 0;
  }
  mw_u64 gap = MW_SECOND_NS / (policy->per_second ? policy->per_second : 1) / (young ? MW_YOUNG_TURNS : 1);
  heat->next_ns = now + gap / 2 + (mw_u64)bpf_get_prandom_u32() % (gap | 1);
  heat->held += 1;
  return 1;
}

/* Held time is charged as measured, not as granted. */
static __always_inline void mw_charge(struct mw_grant* grant, const struct mw_hit* hit, mw_u64 held_ns, mw_u64 now) {
  mw_u64 tokens = grant->bucket->tokens_ns;
  grant->bucket->tokens_ns = tokens > held_ns ? tokens - held_ns : 0;
  __sync_fetch_and_add(&grant->bucket->spent_ns, held_ns);
  grant->pair->spent_ns += held_ns;
  grant->heat->end_ns = now;
  grant->heat->end_g = hit->g;
  if (++grant->heat->calm >= MW_CALM_DWELLS && grant->heat->level < MW_MAX_LEVEL) {
    grant->heat->level += 1;
    grant->heat->calm = 0;
    grant->heat->queued = 0;
  }
}

#endif
