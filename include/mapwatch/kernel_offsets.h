/* What the BPF side must know of the kernel that it runs in; shared as mapwatch/abi.h is. */
#ifndef MAPWATCH_KERNEL_OFFSETS_H
#define MAPWATCH_KERNEL_OFFSETS_H

#include <mapwatch/abi.h>

/* Where this kernel has what is told of a thread, bytes; from its BTF. All 0 where it has none. */
struct mw_kernel_offsets {
  mw_u32 known;  /* the next five are */
  mw_u32 on_cpu; /* of struct task_struct, as the next four */
  mw_u32 nvcsw;
  mw_u32 nivcsw;
  mw_u32 pid;
  mw_u32 tgid;
  mw_u32 cfs_rq;   /* se.cfs_rq; 0: not known, and so the next */
  mw_u32 runnable; /* of struct cfs_rq: how many of its group's threads run or wait on the CPU */
};
MW_ASSERT_SIZE(struct mw_kernel_offsets, 32);

#endif /* MAPWATCH_KERNEL_OFFSETS_H */
