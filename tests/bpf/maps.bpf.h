// Found before bpf/maps.bpf.h: the detector's memory as plain arrays of the simulated machine.
#ifndef MAPWATCH_MAPS_BPF_H
#define MAPWATCH_MAPS_BPF_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

#include <mapwatch/abi.h>
#include <slot.bpf.h>

#define MW_NOINLINE __attribute__((noinline))
#define MW_YIELD(point) mw_host_yield(#point)

void mw_host_yield(const char* point);
mw_policy* mw_policy_of(mw_u32 tgid);
long mw_policy_insert(mw_u32 tgid, const mw_policy* policy);
void mw_policy_drop(mw_u32 tgid);
mw_bucket* mw_bucket_of(mw_u32 tgid);
mw_layout* mw_layout_at(mw_u32 index);
mw_slot* mw_slot_at(mw_u32 index);
mw_heat* mw_heat_at(mw_u32 index);
mw_pair* mw_pair_at(mw_u32 index);
mw_left* mw_left_at(mw_u32 index);
long mw_thread_look(mw_u64 task, mw_thread* thread);
mw_u64 mw_cpu_queue();
mw_u32 mw_cpu_queue_length(mw_u64 queue);
mw_doing* mw_doing_at(mw_u32 index);
mw_caller_count* mw_caller_count_at(mw_u32 index);
mw_counters* mw_counters_here();
mw_site_counts* mw_site_counts_of(mw_u32 site);
mw_target_counts* mw_target_counts_of(const mw_policy* policy);
int mw_freeze_gate_open();
int mw_freeze_claim(mw_u32 tgid, mw_u64 now);
mw_freeze_note* mw_freeze_note_reserve();
void mw_freeze_note_submit(mw_freeze_note* note);
void mw_freeze_note_discard(mw_freeze_note* note);
void* mw_event_reserve(mw_u64 size);
void mw_event_submit(void* event);
void mw_event_discard(void* event);

#endif
