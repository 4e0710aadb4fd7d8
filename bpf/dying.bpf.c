/* Attached only while a crash is being written down: a tracepoint on sys_enter makes every system call of the host
 * dearer. An object of its own: where it may not be loaded (lockdown=confidentiality refuses bpf_probe_read_kernel) all
 * else still works. */
#include <dying.bpf.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("raw_tp/sys_enter") int mw_sys_enter(struct bpf_raw_tracepoint_args* ctx) {
  return mw_on_syscall((const struct pt_regs*)ctx->args[0], ctx->args[1]);
}
