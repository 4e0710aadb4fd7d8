// Found before bpf/dying_map.bpf.h: the map of dying processes as a plain map of the test.
#ifndef MAPWATCH_DYING_MAP_BPF_H
#define MAPWATCH_DYING_MAP_BPF_H

#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

#include <mapwatch/abi.h>

mw_dying* mw_dying_of(mw_u32 tgid);

#endif
