/* The start-up self-test: counts hits on a function of mapwatch's own, from two of its threads. One body, two kinds of
 * link: uprobe.multi needs kernel 6.6. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

unsigned long long mw_self_hits = 0;

static __always_inline int count(void) {
  __sync_fetch_and_add(&mw_self_hits, 1);
  return 0;
}

SEC("uprobe.multi") int mw_self_multi(struct pt_regs* ctx) { return count(); }

SEC("uprobe") int mw_self_perf(struct pt_regs* ctx) { return count(); }
