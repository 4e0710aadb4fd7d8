/* The kernel side: each program is one line over the headers. uprobe.multi needs kernel 6.6; older kernels load the
 * perf_event twins. There is no uretprobe here and never will be: they overwrite return addresses, which Go's stack
 * moves and tracebacks read (golang/go#22008, #27077; iovisor/bcc#1320). */
#include <detector.bpf.h>
#include <fatal.bpf.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("uprobe.multi") int mw_map_multi(struct pt_regs* ctx) { return mw_on_map(ctx, bpf_get_attach_cookie(ctx)); }

SEC("uprobe") int mw_map_perf(struct pt_regs* ctx) { return mw_on_map(ctx, bpf_get_attach_cookie(ctx)); }

SEC("uprobe.multi.s") int mw_fatal_multi(struct pt_regs* ctx) { return mw_on_fatal(ctx, bpf_get_attach_cookie(ctx)); }

SEC("uprobe.s") int mw_fatal_perf(struct pt_regs* ctx) { return mw_on_fatal(ctx, bpf_get_attach_cookie(ctx)); }

SEC("raw_tp/sched_process_exec") int mw_exec(void* ctx) { return mw_on_exec(0); }

SEC("raw_tp/sched_process_exec") int mw_every_exec(void* ctx) { return mw_on_exec(1); }
