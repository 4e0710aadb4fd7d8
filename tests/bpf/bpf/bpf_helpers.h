// The helpers that the detector calls, served by the simulated machine of machine.h.
#pragma once

#include <mapwatch/abi.h>

#define SEC(name)
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

struct pt_regs;

int bpf_probe_read_user(void* to, mw_u32 size, const void* from);
int bpf_probe_read_kernel(void* to, mw_u32 size, const void* from);
int bpf_copy_from_user(void* to, mw_u32 size, const void* from);
mw_u64 bpf_ktime_get_ns();
mw_u64 bpf_get_current_pid_tgid();
mw_u64 bpf_get_current_task();
mw_u32 bpf_get_smp_processor_id();
mw_u32 bpf_get_prandom_u32();
long bpf_get_stack(pt_regs* ctx, void* to, mw_u32 size, mw_u64 flags);
long bpf_send_signal(mw_u32 signal);
long bpf_loop(mw_u32 turns, void* callback, void* context, mw_u64 flags);
