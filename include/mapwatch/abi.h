/* The contract between the kernel side (bpf/, C11) and the user side (user/, C++20): events, policy, layouts,
 * counters, and the tables that explain a crash. The only header both compile. Padding is explicit and every size is
 * asserted, so that a field added on one side fails the build of the other. */
#ifndef MAPWATCH_ABI_H
#define MAPWATCH_ABI_H

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
typedef std::uint8_t mw_u8;
typedef std::uint16_t mw_u16;
typedef std::uint32_t mw_u32;
typedef std::uint64_t mw_u64;
typedef std::int64_t mw_s64;
#define MW_ASSERT_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type)
#define MW_INLINE inline
#else
typedef unsigned char mw_u8;
typedef unsigned short mw_u16;
typedef unsigned int mw_u32;
typedef unsigned long long mw_u64;
typedef long long mw_s64;
#define MW_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define MW_INLINE static inline __attribute__((always_inline))
#endif

#define MW_ABI_VERSION 1u

#define MW_MAX_STACK 64     /* frames kept of one stack; a longer one is cut and says so (MW_ACCESS_STACK_CUT) */
#define MW_MAX_TEXT 128     /* bytes kept of a fatal string; Go's own are under 64 */
#define MW_MAX_LAYOUTS 256  /* binaries watched at once */
#define MW_MAX_SITES 65536  /* armed sites over all binaries */
#define MW_MAX_TARGETS 4096 /* processes watched at once */
#define MW_SLOTS 65536u     /* watch table, direct-mapped, power of two */
#define MW_PAIRS 16384u     /* allowance table by pair of sites, power of two */
/* Hits beyond mw_policy::hit_limit that are looked at all the same: most of a hit's price is the trap, which is paid
 * until the probe is gone, and a race in a tight loop is seen then or not at all. */
#define MW_OVERRUN 16384u
#define MW_CALLERS 4096u /* callers of map functions that are learnt, direct-mapped, power of two */
#define MW_DOINGS 8192u  /* last operation by goroutine, direct-mapped, power of two */
#define MW_MAX_DYING 64  /* crashes written down at once */

/* What a goroutine does to a map. Values are written to recorded files: never renumbered. */
enum mw_op {
  MW_OP_NONE = 0,
  MW_OP_WRITE = 1,
  MW_OP_READ = 2,
  MW_OP_ITERATE = 3,
  MW_OP_DELETE = 4,
  MW_OP_CLEAR = 5,
  MW_OP_CLONE = 6,
  MW_OP_FATAL = 7, /* runtime.fatal */
  MW_OP_THROW = 8, /* runtime.throw */
};

/* The instruction a probe sits on decides where the caller's PC is and which hits count. */
enum mw_site_class {
  MW_SITE_NONE = 0,
  MW_SITE_PUSH =
      1, /* prologue's `push %rbp` (Go 1.21+): arguments in registers, [RSP] return address, RBP the caller's frame */
  MW_SITE_JCC = 2, /* stack check's jbe (Go 1.17-1.20): as PUSH; a hit with CF or ZF set is about to grow the stack: not
                      counted */
  MW_SITE_CALL = 3,  /* `call rel32` in the caller: [RSP] is no return address, chain[0] is the caller */
  MW_SITE_ENTRY = 4, /* first instruction, single-stepped: fatal and throw before Go 1.21 only; as PUSH */
};

/* Where the map pointer and the map type are at a site. */
enum mw_arg {
  MW_ARG_NONE = 0,
  MW_ARG_FUNC = 1,      /* runtime.map*: type RAX, map RBX */
  MW_ARG_METHOD = 2,    /* (*Map).Delete/Clear/Clone: map RAX, type RBX */
  MW_ARG_ITER = 3,      /* mapiternext, (*Iter).Next: iterator RAX; map and type are fields of it (struct mw_layout) */
  MW_ARG_ITER_INIT = 4, /* (*Iter).Init: iterator RAX, type RBX, map RCX */
};

/* The cookie of a link's site: kind 8 | class 4 | arg 4 | layout 16 | site 32 bits, lowest first. */
#define MW_COOKIE(op, cls, arg, layout, site) \
  ((mw_u64)(op) | ((mw_u64)(cls) << 8) | ((mw_u64)(arg) << 12) | ((mw_u64)(layout) << 16) | ((mw_u64)(site) << 32))
#define MW_COOKIE_OP(c) ((mw_u32)((c)&0xff))
#define MW_COOKIE_CLASS(c) ((mw_u32)(((c) >> 8) & 0xf))
#define MW_COOKIE_ARG(c) ((mw_u32)(((c) >> 12) & 0xf))
#define MW_COOKIE_LAYOUT(c) ((mw_u32)(((c) >> 16) & 0xffff))
#define MW_COOKIE_SITE(c) ((mw_u32)((c) >> 32))

enum mw_layout_flags {
  MW_LAYOUT_VALID = 1,
  MW_LAYOUT_ADOPT = 2, /* its probes stand in every process of the file, and a new one is watched from its first hit */
};

/* Facts of a binary, by the cookie's layout index. Offsets are bytes. */
struct mw_layout {
  mw_u32 goid;      /* runtime.g.goid */
  mw_u32 gopc;      /* runtime.g.gopc: PC of the go statement that made the goroutine */
  mw_u32 mark;      /* map header -> byte that holds the writing mark */
  mw_u32 mark_mask; /* 0x04 (hmap.flags & hashWriting) or 0xff (Map.writing) */
  mw_u32 iter_map;  /* iterator -> map pointer */
  mw_u32 iter_type; /* iterator -> map type pointer */
  mw_u32 map_len;   /* map header -> count/used, 8 bytes */
  mw_u32 flags;     /* mw_layout_flags; 0: index not in use, hits are ignored */
  mw_u32 seed;      /* map header -> hash seed, its first 4 bytes; 0: not known */
  mw_u32 pad0;
};
MW_ASSERT_SIZE(struct mw_layout, 40);

enum mw_policy_flags {
  MW_POLICY_MARK_ONLY = 1,  /* no dwell: one CPU, or asked for */
  MW_POLICY_HOLD_ALL = 2,   /* tests: every candidate dwells, no allowance */
  MW_POLICY_FREEZE = 4,     /* stop the process at a concurrent map crash; only while a guardian watches it */
  MW_POLICY_FREEZE_ALL = 8, /* and at every other fatal error */
  MW_POLICY_PARTIAL = 16,   /* some sites are not armed at times: what was recorded may not be the last that happened */
  MW_POLICY_ADOPTED = 32,   /* by the kernel side, until the user side has looked at the process */
  MW_POLICY_IGNORE = 64,    /* not watched, though probes of its file stand in it */
  MW_POLICY_LEARN = 128,    /* hits of function probes are counted by caller: struct mw_caller_count */
};

/* Hits of a function probe by the code that called it (MW_POLICY_LEARN). A newcomer takes a colliding entry over. */
struct mw_caller_count {
  mw_u64 pc; /* return address */
  mw_u32 tgid;
  mw_u32 site; /* of the function's probe */
  mw_u64 hits;
};
MW_ASSERT_SIZE(struct mw_caller_count, 24);

/* What a process may be charged, by tgid (in the initial PID namespace). */
struct mw_policy {
  mw_u32 flags;
  mw_u32 dwell_ns;     /* how long a watch stands at first */
  mw_u32 dwell_max_ns; /* and at most, where nobody was seen to queue behind it */
  mw_u32 hold_max_ns;  /* the longest wait for a mark to clear */
  mw_u32 per_second;   /* operations of one map that may be held per second, at least */
  mw_u32 one_in;       /* and 1 in this many hits of a map */
  mw_u32 share_ppm;    /* held time per process, parts per million of wall time: the bucket's rate */
  mw_u32 tgid;         /* whose it is; filled by Kernel::set_policy */
  mw_u64 burst_ns;     /* the bucket's size */
  mw_u32 slot;         /* of its counters, below MW_MAX_TARGETS; filled by Kernel::set_policy */
  mw_u32 epoch;        /* of hit_limit: a new one starts the count again */
  mw_u64
      hit_limit; /* hits in this epoch until MW_EVENT_OVER, and MW_OVERRUN until no more are looked at; 0: no limit */
  mw_u32 layout; /* of its binary: hits of another layout are another link's on the same file, and not counted */
  mw_u32 pad0;
};
MW_ASSERT_SIZE(struct mw_policy, 64);

/* What was counted at one site. Per CPU; the user side sums them. */
struct mw_site_counts {
  mw_u64 hits;       /* traps there, counted operations or not */
  mw_u64 candidates; /* of these, on a map that two goroutines use, one of them writing */
};
MW_ASSERT_SIZE(struct mw_site_counts, 16);

/* What one process was charged so far. Per CPU, by the slot of its policy; the user side sums them. */
struct mw_target_counts {
  mw_u64 hits;     /* probes it came to, counted operations or not: each is a trap that it paid for */
  mw_u64 held_ns;  /* time its goroutines were held, measured: dwells and waits for a mark or a partner */
  mw_u64 overlaps; /* halves decided, before they are sent */
  mw_u32 epoch;    /* of `credit`; these two are no sums */
  mw_u32 credit;   /* hits that this CPU may still look at before it asks the process's bucket */
};
MW_ASSERT_SIZE(struct mw_target_counts, 32);

enum mw_event_kind {
  MW_EVENT_ACCESS = 1, /* half of an overlap: struct mw_access_event */
  MW_EVENT_FATAL = 2,  /* runtime.fatal/throw entered: struct mw_fatal_event */
  MW_EVENT_EXEC = 3,   /* a watched process ran exec: struct mw_event_head */
  MW_EVENT_EXIT = 4,   /* a watched process' last thread exited: struct mw_event_head */
  MW_EVENT_OVER = 5,   /* a watched process used up its hits: struct mw_over_event */
  MW_EVENT_NEW = 6,    /* one that is not watched ran exec (layout MW_NO_LAYOUT), or was adopted: mw_event_head */
};

#define MW_NO_LAYOUT MW_MAX_LAYOUTS

struct mw_event_head {
  mw_u32 kind;
  mw_u32 size;    /* of the whole event, bytes */
  mw_u64 time_ns; /* CLOCK_MONOTONIC */
  mw_u32 tgid;    /* as the initial PID namespace numbers them */
  mw_u32 tid;
  mw_u32 cpu;
  mw_u32 layout;
};
MW_ASSERT_SIZE(struct mw_event_head, 32);

/* Sent once an epoch: hits beyond the limit return at once until the next one. */
struct mw_over_event {
  struct mw_event_head head;
  mw_u32 epoch; /* mw_policy::epoch */
  mw_u32 pad0;
};
MW_ASSERT_SIZE(struct mw_over_event, 40);

enum mw_role {
  MW_ROLE_WATCHER = 1, /* stood in the map when the other arrived */
  MW_ROLE_VISITOR = 2, /* arrived at a map on which a watch stood, or whose mark was set */
};
enum mw_evidence {
  MW_EVIDENCE_WATCH = 1, /* both halves seen: two events share (slot, generation) */
  MW_EVIDENCE_MARK = 2,  /* the mark was set: one event; `other` is the last recorded writer, or empty */
};
enum mw_access_flags {
  MW_ACCESS_STACK_CUT = 1,   /* more than MW_MAX_STACK frames */
  MW_ACCESS_STACK_ERROR = 2, /* the kernel could not walk the stack */
  MW_ACCESS_OTHER_KNOWN = 4, /* other_* are filled (MARK: last writer; WATCH: the partner's identity) */
  MW_ACCESS_NO_RET = 8,      /* [RSP] could not be read: the caller may be missing from pc[] */
};

/* pc[first] is the probed function's site, the next its caller (a return address), and so on outwards: `count` in all.
 * At MW_SITE_CALL pc[first] is the caller's call instruction. */
struct mw_stack {
  mw_u32 count;
  mw_u32 first; /* 0 or 1: where in pc[] the stack begins; the words below it mean nothing */
  mw_u64 pc[MW_MAX_STACK];
};
MW_ASSERT_SIZE(struct mw_stack, 8 + 8 * MW_MAX_STACK);

struct mw_access_event {
  struct mw_event_head head;
  mw_u8 role;
  mw_u8 evidence;
  mw_u8 op;
  mw_u8 site_class;
  mw_u32 site;
  mw_u32 slot;
  mw_u32 generation;
  mw_u64 map;
  mw_u64 type; /* address of the map's type in the target; 0 when the site does not tell */
  mw_u64 len;
  mw_u64 g;
  mw_u64 goid;
  mw_u64 gopc;
  mw_u64 watch_ns; /* WATCHER: when the watch was published; VISITOR: 0 */
  mw_u64 held_ns;  /* how long this side was held in all */
  mw_u64 other_g;
  mw_u64 other_goid;
  mw_u64 other_pc; /* MARK: where the last writer was called from, as its stack says; to be vouched for */
  mw_u8 other_op;
  mw_u8 pad0[3];
  mw_u32 flags; /* mw_access_flags */
  struct mw_stack stack;
};
MW_ASSERT_SIZE(struct mw_access_event, 32 + 16 + 11 * 8 + 8 + 8 + 8 * MW_MAX_STACK);

enum mw_fatal_flags {
  MW_FATAL_TEXT_UNREADABLE = 1, /* not even bpf_copy_from_user could read it: user space classifies by its own read */
  MW_FATAL_TEXT_CUT = 2,
  MW_FATAL_FROZEN = 4, /* the process was sent SIGSTOP by this event */
  MW_FATAL_SECOND = 8, /* another goroutine of the process had it frozen; that event is in the ring or about to be */
  MW_FATAL_NOT_FROZEN = 16,       /* a freeze was asked for and could not be had: nobody to tell, or no signal */
  MW_FATAL_MAP_BY_ARGUMENTS = 32, /* user space found last_map in the crashing call's arguments: no probe told it */
};

/* A thread's registers, in the order of user_regs_struct. */
struct mw_regs {
  mw_u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, ip, flags, sp;
};
MW_ASSERT_SIZE(struct mw_regs, 18 * 8);

struct mw_fatal_event {
  struct mw_event_head head;
  mw_u8 op; /* MW_OP_FATAL or MW_OP_THROW */
  mw_u8 site_class;
  mw_u16 text_len;
  mw_u32 flags; /* mw_fatal_flags | mw_access_flags << 8 */
  mw_u64 text_addr;
  mw_u64 g;
  mw_u64 goid;
  mw_u64 gopc;
  mw_u64
      last_map; /* the map of the operation in whose frame the goroutine crashes; 0: its last hit was another frame's */
  mw_u64 ip;
  mw_u64 sp;
  mw_u64 bp;
  mw_u8 text[MW_MAX_TEXT];
  struct mw_stack stack;
  /* Recordings of the first version end here: fields are only ever added, at the end (MW_FATAL_EVENT_V1). */
  mw_u64 last_type; /* of last_map; 0 when the site did not tell */
  mw_u64 last_len;  /* of last_map, as it is now */
  mw_u64 other_g;   /* who wrote last_map last, this goroutine apart; 0: nobody is known to */
  mw_u64 other_goid;
  mw_u64 other_pc; /* as in an access event; 0 when it went on to another operation */
  mw_u32 other_op;
  mw_u32 pad0;
  struct mw_regs regs; /* of the crashing thread; recordings of the second version end before it */
};
#define MW_FATAL_EVENT_V1 (32 + 8 + 8 * 8 + MW_MAX_TEXT + 8 + 8 * MW_MAX_STACK)
MW_ASSERT_SIZE(struct mw_fatal_event, MW_FATAL_EVENT_V1 + 48 + 18 * 8);

/* What the guardian is told, in a ring of its own, of a process that was sent SIGSTOP. */
struct mw_freeze_note {
  mw_u32 tgid;
  mw_u32 tid;
  mw_u64 time_ns; /* CLOCK_MONOTONIC */
};
MW_ASSERT_SIZE(struct mw_freeze_note, 16);

/* The last system calls of a process whose crash is being written down, by tgid; the user side sets `tid`. All times
 * are CLOCK_MONOTONIC at the entry of the call; 0: none yet. */
struct mw_dying {
  mw_u32 tid;       /* of the thread that Go ends the process on */
  mw_u32 first_tid; /* whose first_ns is */
  mw_u64 first_ns;  /* first write(2) on descriptor 2, by any thread */
  mw_u64 go_ns;     /* the first that is Go's fatal error */
  mw_u64 last_ns;   /* the latest */
  mw_u64 writes;    /* how many, on descriptor 2 */
  mw_u64 bytes;     /* that they asked to write */
  mw_u64 exit_ns;   /* exit_group(2) */
  mw_u32 exit_status;
  mw_u32 go_tid; /* whose go_ns is */
  mw_u64 lost;   /* calls whose arguments could not be read */
};
MW_ASSERT_SIZE(struct mw_dying, 72);

/* Per CPU; the user side sums them. Everything that is not delivered is counted here, by stage. */
struct mw_counters {
  mw_u64 hits;    /* counted operations on watched processes */
  mw_u64 ignored; /* hits of processes not watched, restarts of a stack check, nil maps */
  mw_u64 candidates;
  mw_u64 dwells;
  mw_u64 dwell_ns;       /* measured */
  mw_u64 holds;          /* waits for a mark or a partner */
  mw_u64 hold_ns;        /* measured */
  mw_u64 overlaps;       /* halves decided, before they are sent */
  mw_u64 refused_rate;   /* candidates that the map's own bound refused */
  mw_u64 refused_budget; /* candidates that the process's bucket or the pair's share refused */
  mw_u64 lost_ring;      /* events that found the ring full */
  mw_u64 lost_slot;      /* watches that found their slot taken by another map */
  mw_u64 lost_read;      /* mark or iterator could not be read from user memory */
  mw_u64 torn;           /* visits that a changed generation made void */
  mw_u64 lost_new;       /* of lost_ring: MW_EVENT_NEW; /proc has to be looked through */
};
MW_ASSERT_SIZE(struct mw_counters, 15 * 8);

/* Slot of the counters of all adopted processes. */
#define MW_ADOPTED_SLOT 0u

/* ---- Who used which map last: the kernel side's own tables, which the user side reads once, at a crash. ---- */

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

/* What a goroutine began last: ties a crash to its map, and tells where a writer that is still inside was called from.
 * Direct-mapped: a newcomer takes the entry over. Written by the goroutine's own hits alone, under `note`'s odd bit. */
struct mw_doing {
  mw_u64 g;
  mw_u64 map;
  mw_u64 type; /* or, with MW_NOTE_ITERATES, the iterator that knows it */
  mw_u64 sp;   /* where the operation's return address lies */
  mw_u64 bp;   /* RBP at the probe */
  mw_u32 tgid;
  mw_u32 note;    /* being written 1 | iterates 1 | wrapped 1 | unused 1 | op 4 | hits 24, lowest first */
  mw_u64 time_ns; /* CLOCK_MONOTONIC of a hit that read the clock anyway: of a candidate, or of an overlap */
  mw_u32 timed;   /* `note` of that hit: it is this operation when the hits in both are the same */
  mw_u32 pad0;
};
MW_ASSERT_SIZE(struct mw_doing, 64);
#define MW_NOTE_WRITING 1u
#define MW_NOTE_ITERATES 2u
#define MW_NOTE_WRAPPED 4u
#define MW_NOTE_HITS(note) ((note) >> 8)
#define MW_NOTE_OP(note) (((note) >> 4) & 0xf)
#define MW_NOTE_HIT 0x100u

MW_INLINE mw_u64 mw_mix(mw_u64 x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  return x;
}

/* Key is (T, M): heaps of Go <= 1.25 all start at one address. */
MW_INLINE mw_u32 mw_slot_index(mw_u32 tgid, mw_u64 map) {
  return (mw_u32)mw_mix((map >> 4) + ((mw_u64)tgid << 44)) & (MW_SLOTS - 1);
}

MW_INLINE mw_u32 mw_doing_index(mw_u32 tgid, mw_u64 g) {
  return (mw_u32)mw_mix((g >> 4) + ((mw_u64)tgid << 44)) & (MW_DOINGS - 1);
}

#endif /* MAPWATCH_ABI_H */
