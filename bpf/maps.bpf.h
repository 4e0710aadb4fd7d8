/* The kernel side's memory, behind small functions: the host tests put their own maps.bpf.h first on the include
 * path and drive the detector without a kernel. */
#ifndef MAPWATCH_MAPS_BPF_H
#define MAPWATCH_MAPS_BPF_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

#include <mapwatch/abi.h>
#include <mapwatch/kernel_offsets.h>
#include <slot.bpf.h>

#define MW_NOINLINE __attribute__((noinline))
/* A point where another CPU may run: the host tests schedule there. */
#define MW_YIELD(point)

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 8 << 20); /* --ring-size */
} mw_ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MW_MAX_TARGETS);
  __type(key, mw_u32);
  __type(value, struct mw_policy);
} mw_policies SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MW_MAX_TARGETS);
  __type(key, mw_u32);
  __type(value, struct mw_bucket);
} mw_buckets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, MW_MAX_LAYOUTS);
  __type(key, mw_u32);
  __type(value, struct mw_layout);
} mw_layouts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, MW_SLOTS);
  __type(key, mw_u32);
  __type(value, struct mw_slot);
} mw_slots SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, MW_SLOTS);
  __type(key, mw_u32);
  __type(value, struct mw_heat);
} mw_heats SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, MW_PAIRS);
  __type(key, mw_u32);
  __type(value, struct mw_pair);
} mw_pairs SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, MW_DOINGS);
  __type(key, mw_u32);
  __type(value, struct mw_doing);
} mw_doings SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, MW_CALLERS);
  __type(key, mw_u32);
  __type(value, struct mw_caller_count);
} mw_callers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, mw_u32);
  __type(value, struct mw_counters);
} mw_counts SEC(".maps");

/* In rows: the kernel allocates each element of a per-CPU map by itself, and 65536 of them cost 70 ms at every start.
 * The user side has a row's length from the map. */
#define MW_SITES_PER_ROW 256
struct mw_site_row {
  struct mw_site_counts sites[MW_SITES_PER_ROW];
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, MW_MAX_SITES / MW_SITES_PER_ROW);
  __type(key, mw_u32);
  __type(value, struct mw_site_row);
} mw_sites SEC(".maps");

/* In rows, as the sites. */
#define MW_TARGETS_PER_ROW 128
struct mw_target_row {
  struct mw_target_counts targets[MW_TARGETS_PER_ROW];
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, MW_MAX_TARGETS / MW_TARGETS_PER_ROW);
  __type(key, mw_u32);
  __type(value, struct mw_target_row);
} mw_target_counts SEC(".maps");

/* The policies again, direct-mapped: an array look-up is inlined, a hash look-up costs 50 ns more. Two processes of one
 * index: the later one has the place, the other one is found in the hash. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, MW_MAX_TARGETS);
  __type(key, mw_u32);
  __type(value, struct mw_policy);
} mw_near_policies SEC(".maps");

static __always_inline struct mw_policy* mw_policy_of(mw_u32 tgid) {
  mw_u32 index = tgid % MW_MAX_TARGETS;
  struct mw_policy* near = (struct mw_policy*)bpf_map_lookup_elem(&mw_near_policies, &index);
  return near && near->tgid == tgid ? near : (struct mw_policy*)bpf_map_lookup_elem(&mw_policies, &tgid);
}

/* 0, or why not: there is one already, or the table is full. */
static __always_inline long mw_policy_insert(mw_u32 tgid, const struct mw_policy* policy) {
  return bpf_map_update_elem(&mw_policies, &tgid, policy, BPF_NOEXIST);
}

static __always_inline void mw_policy_drop(mw_u32 tgid) {
  mw_u32 index = tgid % MW_MAX_TARGETS;
  struct mw_policy* near = (struct mw_policy*)bpf_map_lookup_elem(&mw_near_policies, &index);
  if (near && near->tgid == tgid) {
    near->tgid = 0;
  }
  bpf_map_delete_elem(&mw_policies, &tgid);
}

static __always_inline struct mw_bucket* mw_bucket_of(mw_u32 tgid) {
  return (struct mw_bucket*)bpf_map_lookup_elem(&mw_buckets, &tgid);
}

static __always_inline struct mw_layout* mw_layout_at(mw_u32 index) {
  return (struct mw_layout*)bpf_map_lookup_elem(&mw_layouts, &index);
}

static __always_inline struct mw_slot* mw_slot_at(mw_u32 index) {
  return (struct mw_slot*)bpf_map_lookup_elem(&mw_slots, &index);
}

static __always_inline struct mw_heat* mw_heat_at(mw_u32 index) {
  return (struct mw_heat*)bpf_map_lookup_elem(&mw_heats, &index);
}

static __always_inline struct mw_pair* mw_pair_at(mw_u32 index) {
  return (struct mw_pair*)bpf_map_lookup_elem(&mw_pairs, &index);
}

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, MW_LEFTS);
  __type(key, mw_u32);
  __type(value, struct mw_left);
} mw_lefts SEC(".maps");

static __always_inline struct mw_left* mw_left_at(mw_u32 index) {
  return (struct mw_left*)bpf_map_lookup_elem(&mw_lefts, &index);
}

/* Filled by the user side before the load: no CO-RE relocation, for a kernel without BTF is watched all the same. */
const volatile struct mw_kernel_offsets mw_offsets = {};

static __always_inline mw_u64 mw_kernel_word(mw_u64 address, mw_u32 size, long* failed) {
  mw_u64 value = 0;
  *failed |= bpf_probe_read_kernel(&value, size, (const void*)address);
  return value;
}

/* Of a task that may be gone: then what is read is no thread's, or another one's. Not 0: it could not be read. */
static __always_inline long mw_thread_look(mw_u64 task, struct mw_thread* thread) {
  long failed = 0;
  if (!mw_offsets.known) {
    return -1;
  }
  thread->on_cpu = mw_kernel_word(task + mw_offsets.on_cpu, sizeof(mw_u32), &failed) != 0;
  thread->switches = mw_kernel_word(task + mw_offsets.nvcsw, sizeof(mw_u64), &failed) +
                     mw_kernel_word(task + mw_offsets.nivcsw, sizeof(mw_u64), &failed);
  thread->tid = (mw_u32)mw_kernel_word(task + mw_offsets.pid, sizeof(mw_u32), &failed);
  thread->tgid = (mw_u32)mw_kernel_word(task + mw_offsets.tgid, sizeof(mw_u32), &failed);
  return failed;
}

/* Where the kernel counts the threads of this thread's group that run or wait on its CPU, which the caller keeps. 0
 * where that is not known. */
static __always_inline mw_u64 mw_cpu_queue(void) {
  long failed = 0;
  if (!mw_offsets.cfs_rq) {
    return 0;
  }
  mw_u64 queue = mw_kernel_word(bpf_get_current_task() + mw_offsets.cfs_rq, sizeof(mw_u64), &failed);
  return failed || !queue ? 0 : queue + mw_offsets.runnable;
}

static __always_inline mw_u32 mw_cpu_queue_length(mw_u64 queue) {
  mw_u32 length = 0;
  return !queue || bpf_probe_read_kernel(&length, sizeof(length), (const void*)queue) ? 0 : length;
}

static __always_inline struct mw_doing* mw_doing_at(mw_u32 index) {
  return (struct mw_doing*)bpf_map_lookup_elem(&mw_doings, &index);
}

static __always_inline struct mw_caller_count* mw_caller_count_at(mw_u32 index) {
  return (struct mw_caller_count*)bpf_map_lookup_elem(&mw_callers, &index);
}

static __always_inline struct mw_counters* mw_counters_here(void) {
  mw_u32 zero = 0;
  return (struct mw_counters*)bpf_map_lookup_elem(&mw_counts, &zero);
}

static __always_inline struct mw_site_counts* mw_site_counts_of(mw_u32 site) {
  mw_u32 index = site / MW_SITES_PER_ROW;
  struct mw_site_row* row = (struct mw_site_row*)bpf_map_lookup_elem(&mw_sites, &index);
  return row ? &row->sites[site % MW_SITES_PER_ROW] : 0;
}

static __always_inline struct mw_target_counts* mw_target_counts_of(const struct mw_policy* policy) {
  mw_u32 slot = policy->slot;
  mw_u32 index = slot / MW_TARGETS_PER_ROW;
  struct mw_target_row* row = (struct mw_target_row*)bpf_map_lookup_elem(&mw_target_counts, &index);
  return row ? &row->targets[slot % MW_TARGETS_PER_ROW] : 0;
}

/* Processes that were frozen, by tgid: no process is frozen twice while it is watched. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MW_MAX_TARGETS);
  __type(key, mw_u32);
  __type(value, mw_u64); /* when */
} mw_frozen SEC(".maps");

/* The guardian's own ring: it must learn of a freeze when mapwatch itself hangs. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} mw_freeze_notes SEC(".maps");

/* Open (1) while a guardian reads the notes. It closes the gate itself when mapwatch has died: a link may outlive
 * mapwatch for a moment, in the hands of the child that made or closes it (attach/shield.h). */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, mw_u32);
  __type(value, mw_u64);
} mw_freeze_gate SEC(".maps");

/* Call with a note reserved. The atomic read-modify-write orders it after the reservation: either this sees the gate
 * closed, or the guardian, which looks at the ring after closing it, sees the note and waits for it. */
static __always_inline int mw_freeze_gate_open(void) {
  mw_u32 zero = 0;
  mw_u64* gate = (mw_u64*)bpf_map_lookup_elem(&mw_freeze_gate, &zero);
  return gate && __sync_fetch_and_add(gate, 0) != 0;
}

/* True for one caller a process, however many come at once. */
static __always_inline int mw_freeze_claim(mw_u32 tgid, mw_u64 now) {
  return bpf_map_update_elem(&mw_frozen, &tgid, &now, BPF_NOEXIST) == 0;
}

static __always_inline struct mw_freeze_note* mw_freeze_note_reserve(void) {
  return (struct mw_freeze_note*)bpf_ringbuf_reserve(&mw_freeze_notes, sizeof(struct mw_freeze_note), 0);
}

static __always_inline void mw_freeze_note_submit(struct mw_freeze_note* note) {
  bpf_ringbuf_submit(note, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void mw_freeze_note_discard(struct mw_freeze_note* note) { bpf_ringbuf_discard(note, 0); }

static __always_inline void* mw_event_reserve(mw_u64 size) { return bpf_ringbuf_reserve(&mw_ring, size, 0); }

static __always_inline void mw_event_discard(void* event) { bpf_ringbuf_discard(event, 0); }

/* Flag 0: the kernel wakes the reader only when it has caught up, so a storm costs one wake-up, not one an event. */
static __always_inline void mw_event_submit(void* event) { bpf_ringbuf_submit(event, 0); }

#endif
