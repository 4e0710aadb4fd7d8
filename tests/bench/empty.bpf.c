/* The least that a probe can do. What mapwatch costs above this is its own work; this much is the kernel's trap. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("uprobe.multi") int empty(void* ctx) { return 0; }
