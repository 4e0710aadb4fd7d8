/* Go's register ABI on amd64 (ABIInternal, Go 1.17+: cmd/compile/abi-internal.md): where a probe finds the operation.
 */
#ifndef MAPWATCH_GO_ABI_BPF_H
#define MAPWATCH_GO_ABI_BPF_H

#include <maps.bpf.h>

/* EFLAGS.CF and .ZF (Intel SDM vol. 1, 3.4.3): the stack check's jbe is taken when either is set. */
#define MW_FLAGS_JBE 0x41ull

/* One operation about to begin. */
struct mw_hit {
  mw_u64 g;
  mw_u64 map;
  mw_u64 type; /* at an iterator's step: the iterator */
  mw_u32 tgid;
  mw_u32 tid;
  mw_u32 op;
  mw_u32 site_class;
  mw_u32 site;
  mw_u32 arg;
  mw_u32 index; /* of the slot */
  mw_u32 layout_index;
  struct mw_layout* layout;
  struct mw_policy* policy;
  struct mw_doing* doing; /* this goroutine's entry; 0: there is none */
};

static __always_inline int mw_op_writes(mw_u32 op) {
  return op == MW_OP_WRITE || op == MW_OP_DELETE || op == MW_OP_CLEAR;
}

static __always_inline mw_u64 mw_read_u64(mw_u64 address, mw_u64 otherwise) {
  mw_u64 value = 0;
  return bpf_probe_read_user(&value, sizeof(value), (const void*)address) ? otherwise : value;
}

/* The map and type of this hit. 0: there is none (nil map, iterator of an empty map); -1: it could not be read. */
static __always_inline int mw_decode_args(struct mw_hit* hit, const struct pt_regs* ctx) {
  switch (hit->arg) {
    case MW_ARG_FUNC:
      hit->type = MW_REG(ctx, ax);
      hit->map = MW_REG(ctx, bx);
      break;
    case MW_ARG_METHOD:
      hit->map = MW_REG(ctx, ax);
      hit->type = MW_REG(ctx, bx);
      break;
    case MW_ARG_ITER_INIT:
      hit->type = MW_REG(ctx, bx);
      hit->map = MW_REG(ctx, cx);
      break;
    case MW_ARG_ITER:
      hit->type = MW_REG(ctx, ax); /* the iterator, which knows it: mw_type_of */
      hit->map = 0;
      if (bpf_probe_read_user(&hit->map, sizeof(hit->map), (const void*)(MW_REG(ctx, ax) + hit->layout->iter_map))) {
        return -1;
      }
      break;
    default:
      return -1;
  }
  return hit->map != 0;
}

/* The map's type costs a read at an iterator: only for reports. */
static __always_inline mw_u64 mw_type_of(const struct mw_hit* hit, const struct pt_regs* ctx) {
  return hit->arg == MW_ARG_ITER ? mw_read_u64(hit->type + hit->layout->iter_type, 0) : hit->type;
}

/* Where the operation's return address lies, or will: at a call site it is pushed next. */
static __always_inline mw_u64 mw_return_slot(const struct mw_hit* hit, const struct pt_regs* ctx) {
  return hit->site_class == MW_SITE_CALL ? MW_REG(ctx, sp) - 8 : MW_REG(ctx, sp);
}

/* The Swiss methods are called by runtime.mapdelete*, mapclear and mapIter*, whose frame RBP holds at a push: the code
 * that uses the map is one frame further out. */
static __always_inline int mw_wrapped(const struct mw_hit* hit) {
  int method = hit->arg == MW_ARG_METHOD || (hit->arg == MW_ARG_ITER && hit->layout->mark_mask == 0xff);
  return method && hit->site_class == MW_SITE_PUSH;
}

/* Where in the program a hit is, without a read of user memory: the probe, and how deep in its stack the goroutine is.
 * Go's stacks are aligned to their size, 2048 or more (runtime/stack.go), so the low bits of RSP are the same at each
 * passage by one chain of calls. A hash, good for sharing out attention; never evidence. */
static __always_inline mw_u64 mw_place(const struct mw_hit* hit, const struct pt_regs* ctx) {
  return mw_mix(((mw_u64)hit->site << 32) ^ (MW_REG(ctx, sp) & 0x7ff));
}

#endif
