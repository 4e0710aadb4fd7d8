/* The rest of the watch table's memory: what an allowance and a process's bucket hold, and the words of a slot that the
 * watch protocol moves. Kernel-side only; the slots themselves are in mapwatch/abi.h. */
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
 * Only the owner of the slot moves it to STANDING, LEFT and DOWN; a visitor moves STANDING to MET. */
enum mw_meet_state {
  MW_DOWN = 0,
  MW_STANDING = 1,
  MW_MET = 2,
  MW_LEFT = 3, /* its owner is on its way out of the kernel: left.bpf.h. Anyone may move it to DOWN */
};
#define MW_MEET(gen, vop, wop, state) \
  (((mw_u64)(mw_u32)(gen) << 32) | ((mw_u64)(vop) << 16) | ((mw_u64)(wop) << 8) | (mw_u64)(state))
#define MW_MEET_GEN(m) ((mw_u32)((m) >> 32))
#define MW_MEET_VISITOR_OP(m) ((mw_u32)(((m) >> 16) & 0xff))
#define MW_MEET_WATCHER_OP(m) ((mw_u32)(((m) >> 8) & 0xff))
#define MW_MEET_STATE(m) ((mw_u32)((m)&0xff))

/* A map's own bounds on being held, by slot. Written by candidates only. */
struct mw_heat {
  mw_u64 map;      /* whose figures these are */
  mw_u64 next_ns;  /* no dwell of this map before then, unless 1 in N hits allows it */
  mw_u64 end_ns;   /* when the last dwell ended */
  mw_u64 end_g;    /* and whose it was */
  mw_u32 hits;     /* candidate hits */
  mw_u32 held;     /* dwells */
  mw_u32 gap_ns;   /* between its last two candidate hits */
  mw_u32 cycle_ns; /* from the last but two to the last: of two goroutines in turn, how often each comes */
  mw_u64 seen_ns;  /* its last candidate hit */
  mw_u32 calm;     /* dwells in a row that nobody queued behind */
  mw_u16 seed;     /* low half of its hash seed; 0: not read yet */
  mw_u8 level;     /* dwell = base << level, at least */
  mw_u8 queued;    /* somebody queued behind a dwell, not long ago */
};
MW_ASSERT_SIZE(struct mw_heat, 64);

/* What a pair of sites (last accessor's, this one's) was served so far. Direct-mapped: a newcomer takes the entry over.
 */
struct mw_pair {
  mw_u64 key;
  mw_u64 spent_ns;
};
MW_ASSERT_SIZE(struct mw_pair, 16);

/* Where a thread stood that left a watch, by the low bits of the slot's index. */
#define MW_LEFTS 4096u
#define MW_NO_SLOT 0xffffffffu
struct mw_left {
  mw_u64 task; /* its struct task_struct */
  mw_u64 regs; /* its struct pt_regs, on its kernel stack: registers of user space whenever it does not run */
  mw_u64 g;    /* R14 */
  mw_u64 type; /* as in mw_hit */
  mw_u64 map;
  mw_u64 map_at; /* where the iterator, `type`, has it; 0: a register is the map */
  mw_u64 ip;     /* of the probe */
  mw_u64 target; /* at a call: where it goes to */
  mw_u64 sp;     /* where the return address lies */
  mw_u64 bp;
  mw_u64 watch_ns;
  mw_u64 held_ns;
  mw_u32 tgid;
  mw_u32 tid;
  mw_u32 site;
  mw_u32 slot; /* whose watch; MW_NO_SLOT while it is written */
  mw_u32 generation;
  mw_u8 op;
  mw_u8 site_class;
  mw_u8 arg;
  mw_u8 pad0;
  mw_u16 cpu;
  mw_u16 pad1[3];
};
MW_ASSERT_SIZE(struct mw_left, 128);

/* A thread as the scheduler has it. */
struct mw_thread {
  mw_u64 switches; /* how often it was switched out */
  mw_u32 tid;
  mw_u32 tgid;
  mw_u32 on_cpu; /* it runs */
  mw_u32 pad0;
};

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
