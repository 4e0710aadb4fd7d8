/* The last system calls of a process that Go is about to end: its words on stderr, and its exit. Of every other
 * process nothing is looked at but the number of the call. */
#ifndef MAPWATCH_DYING_BPF_H
#define MAPWATCH_DYING_BPF_H

#include <dying_map.bpf.h>

/* arch/x86/entry/syscalls/syscall_64.tbl. Go's runtime prints by write(2) on descriptor 2, one call a piece
 * (runtime/write_err.go, Go 1.17-1.27), and ends by exit_group(2) (runtime/sys_linux_amd64.s, runtime·exit). */
#define MW_SYS_WRITE 1
#define MW_SYS_EXIT_GROUP 231
#define MW_STDERR 2

/* Go's first piece of a fatal error (runtime/panic.go, fatal and throw, Go 1.17-1.27). */
#define MW_GO_SAYS "fatal error: "

/* Other goroutines may write to stderr until the process is gone. Go's own words are told by their thread, which does
 * nothing else any more, or by what they are: of several goroutines on the fatal path any may be the first to print. */
static __always_inline int mw_go_says(const struct mw_dying* dying, mw_u32 tid, mw_u64 from, mw_u64 bytes) {
  mw_u8 text[sizeof(MW_GO_SAYS) - 1];
  if (tid == dying->tid) {
    return 1;
  }
  return bytes >= sizeof(text) && bpf_probe_read_user(text, sizeof(text), (const void*)from) == 0 &&
         __builtin_memcmp(text, MW_GO_SAYS, sizeof(text)) == 0;
}

static __always_inline void mw_dying_writes(struct mw_dying* dying, mw_u32 tid, mw_u64 from, mw_u64 bytes, mw_u64 now) {
  __sync_fetch_and_add(&dying->writes, 1);
  __sync_fetch_and_add(&dying->bytes, bytes);
  dying->last_ns = now;
  if (__sync_val_compare_and_swap(&dying->first_ns, 0ull, now) == 0) {
    dying->first_tid = tid;
  }
  if (dying->go_ns == 0 && mw_go_says(dying, tid, from, bytes) &&
      __sync_val_compare_and_swap(&dying->go_ns, 0ull, now) == 0) {
    dying->go_tid = tid;
  }
}

/* raw_tp/sys_enter: `regs` is the kernel's copy of the thread's registers; the arguments are in rdi, rsi, rdx. */
static __always_inline int mw_on_syscall(const struct pt_regs* regs, mw_u64 number) {
  if (number != MW_SYS_WRITE && number != MW_SYS_EXIT_GROUP) {
    return 0;
  }
  mw_u64 id = bpf_get_current_pid_tgid();
  struct mw_dying* dying = mw_dying_of((mw_u32)(id >> 32));
  if (!dying) {
    return 0;
  }
  mw_u64 now = bpf_ktime_get_ns();
  mw_u64 first = 0;
  mw_u64 from = 0;
  mw_u64 bytes = 0;
  if (bpf_probe_read_kernel(&first, sizeof(first), &regs->di) ||
      bpf_probe_read_kernel(&from, sizeof(from), &regs->si) ||
      bpf_probe_read_kernel(&bytes, sizeof(bytes), &regs->dx)) {
    __sync_fetch_and_add(&dying->lost, 1);
    return 0;
  }
  if (number == MW_SYS_EXIT_GROUP) {
    if (__sync_val_compare_and_swap(&dying->exit_ns, 0ull, now) == 0) {
      dying->exit_status = (mw_u32)first;
    }
  } else if ((mw_u32)first == MW_STDERR) {
    mw_dying_writes(dying, (mw_u32)id, from, bytes, now);
  }
  return 0;
}

#endif
