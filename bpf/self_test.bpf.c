/* The start-up self-test: counts hits on a function of mapwatch's own, from two of its threads. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

unsigned long long mw_self_hits = 0;

SEC("uprobe.multi") int mw_self_test(struct pt_regs* ctx) {
  __sync_fetch_and_add(&mw_self_hits, 1);
  return 0;
}
