/* The watch table's memory: what a slot, its allowance and a process's bucket hold. Kernel-side only. */
#ifndef MAPWATCH_SLOT_BPF_H
#define MAPWATCH_SLOT_BPF_H

#include <mapwatch/abi.h>

#define MW_LOAD(field) (*(volatile __typeof__(field)*)&(field))
#define MW_STORE(field, value) (*(volatile __typeof__(field)*)&(field) = (value))
/* A register of the probed thread. Volatile: of two fields in a conditional clang would load through a chosen address,
 * and the verifier refuses a context pointer that is not constant ("dereference of modified ctx ptr"). */
#define MW_REG(ctx, name) MW_LOAD((ctx)->name)

/* slot.map: 0 no watch, MW_BUSY being published or taken down, else the watched map. Heap pointers are never 1. */
#define MW_BUSY 1ull

/* slot.meet is the one word that decides: generation 32 | visitor's op 8 | watcher's op 8 | state 8, highest first.
 * Only the owner of the slot moves it to STANDING and DOWN; a visitor moves STANDING to MET. */
enum mw_meet_state { MW_DOWN = 0, MW_STANDING = 1, MW_MET = 2 };
#define MW_MEET(gen, vop, wop, state) \
  (((mw_u64)(mw_u32)(gen) << 32) | ((mw_u64)(vop) << 16) | ((mw_u64)(wop) << 8) | (mw_u64)(state))
#define MW_MEET_GEN(m) ((mw_u32)((m) >> 32))
#define MW_MEET_VISITOR_OP(m) ((mw_u32)(((m) >> 16) & 0xff))
#define MW_MEET_WATCHER_OP(m) ((mw_u32)(((m) >> 8) & 0xff))
#define MW_MEET_STATE(m) ((mw_u32)((m)&0xff))

/* Addresses in user space have 47 bits (Documentation/arch/x86/x86_64/mm.rst): the upper 16 bits of the two packed
 * words are free. */
#define MW_ADDR_MASK 0x0000ffffffffffffull

/* One cache line: a slot's watch and the last accessor of its map lie together. */
struct mw_slot {
  mw_u64 map; /* the watch */
  mw_u64 meet;
  mw_u64 g;
  mw_u32 tgid;
  mw_u32 last_tgid; /* the last accessor, of the map last_map of process last_tgid */
  mw_u64 last_map;
  mw_u64 last_g;  /* g 48 | warmth 8 | hash of its caller's PC 8, lowest first */
  mw_u64 lastw_g; /* the last writer's g */
  mw_u64 prevw_g; /* the last writer's before it; 0: there was none */
};
MW_ASSERT_SIZE(struct mw_slot, 64);

#define MW_LAST_G(w) ((w)&MW_ADDR_MASK)
#define MW_LAST_WARMTH(w) ((mw_u32)(((w) >> 48) & 0xff))
#define MW_LAST_SITE(w) ((mw_u32)((w) >> 56))
#define MW_LAST(g, warmth, site) \
  (((mw_u64)(g)&MW_ADDR_MASK) | ((mw_u64)((warmth)&0xff) << 48) | ((mw_u64)((site)&0xff) << 56))

/* A map's own bounds on being held, by slot. Written by candidates only. */
struct mw_heat {
  mw_u64 map;     /* whose figures these are */
  mw_u64 next_ns; /* no dwell of this map before then, unless 1 in N hits allows it */
  mw_u64 end_ns;  /* when the last dwell ended */
  mw_u64 end_g;   /* and whose it was */
  mw_u32 hits;    /* candidate hits */
  mw_u32 held;    /* dwells */
  mw_u32 level;   /* dwell = base << level */
  mw_u32 calm;    /* dwells in a row that nobody queued behind */
};
MW_ASSERT_SIZE(struct mw_heat, 48);

/* What a pair of sites (last accessor's, this one's) was served so far. Direct-mapped: a newcomer takes the entry over.
 */
struct mw_pair {
  mw_u64 key;
  mw_u64 spent_ns;
};
MW_ASSERT_SIZE(struct mw_pair, 16);

/* What a goroutine began last: ties a crash to its map, and tells where a writer that is still inside was called from.
 * Direct-mapped: a newcomer takes the entry over. Written by the goroutine's own hits alone, under `note`'s odd bit. */
struct mw_doing {
  mw_u64 g;
  mw_u64 map;
  mw_u64 type; /* or, with MW_NOTE_ITERATES, the iterator that knows it */
  mw_u64 sp;   /* where the operation's return address lies */
  mw_u64 bp;   /* RBP at the probe */
  mw_u32 tgid;
  mw_u32 note; /* being written 1 | iterates 1 | wrapped 1 | unused 1 | op 4 | hits 24, lowest first */
};
MW_ASSERT_SIZE(struct mw_doing, 48);
#define MW_NOTE_WRITING 1u
#define MW_NOTE_ITERATES 2u
#define MW_NOTE_WRAPPED 4u
#define MW_NOTE_OP(note) (((note) >> 4) & 0xf)
#define MW_NOTE_HIT 0x100u

/* A process's bucket of held time and of hits. */
struct mw_bucket {
  mw_u64 tokens_ns;
  mw_u64 refilled_ns;
  mw_u64 spent_ns;  /* over all pairs */
  mw_u64 pairs;     /* pairs that were ever served */
  mw_s64 hits_left; /* of mw_policy::hit_limit, in epoch `epoch`; below 0 when several CPUs drew at once */
  mw_u32 epoch;
  mw_u32 over_epoch; /* the last one whose end user space was told of */
};
MW_ASSERT_SIZE(struct mw_bucket, 48);

#endif
