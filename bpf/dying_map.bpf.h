/* The map of dying processes, behind a function: the host tests put their own dying_map.bpf.h first on the include
 * path. */
#ifndef MAPWATCH_DYING_MAP_BPF_H
#define MAPWATCH_DYING_MAP_BPF_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

#include <mapwatch/abi.h>

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MW_MAX_DYING);
  __type(key, mw_u32); /* tgid */
  __type(value, struct mw_dying);
} mw_dying SEC(".maps");

static __always_inline struct mw_dying* mw_dying_of(mw_u32 tgid) {
  return (struct mw_dying*)bpf_map_lookup_elem(&mw_dying, &tgid);
}

#endif
