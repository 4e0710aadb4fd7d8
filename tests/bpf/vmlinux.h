// Stands in for the kernel's types when the BPF headers are compiled for this machine.
#pragma once
struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#define BPF_F_USER_STACK (1ULL << 8)
