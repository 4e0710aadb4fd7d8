"""What mapwatch itself takes at one moment: memory, descriptors, CPU time, entries of its BPF maps."""
import ctypes
import os
import pathlib
import re

TICKS = os.sysconf("SC_CLK_TCK")
ABI = pathlib.Path(__file__).resolve().parents[3] / "include/mapwatch/abi.h"
# enum bpf_cmd, enum bpf_map_type (linux/bpf.h).
SYS_BPF, LOOKUP, NEXT_KEY, FD_BY_ID = 321, 1, 4, 14
HASH, PERCPU_ARRAY = 1, 6
libc = ctypes.CDLL(None, use_errno=True)


class Attr(ctypes.Structure):
    """union bpf_attr of the commands on elements."""
    _fields_ = [("fd", ctypes.c_uint32), ("pad", ctypes.c_uint32), ("key", ctypes.c_void_p), ("value", ctypes.c_void_p),
                ("flags", ctypes.c_uint64)]


def bpf(command, attr):
    return libc.syscall(SYS_BPF, command, ctypes.byref(attr), ctypes.sizeof(attr))


def children(pid):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if "guard" in pathlib.Path(f"/proc/{child}/comm").read_text()]


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss(pid):
    """(resident, of that not backed by a file) in bytes."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return tuple(1024 * int(re.search(rf"^{name}:\s+(\d+)", status, re.M).group(1)) for name in ("VmRSS", "RssAnon"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def maps(pid):
    """The BPF maps that the process holds: by id, (type, size of a key, size of a value)."""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            text = pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
        except OSError:
            continue
        fields = dict(re.findall(r"^(\w+):\s+(\d+)$", text, re.M))
        if "map_id" in fields:
            found[int(fields["map_id"])] = tuple(int(fields[n]) for n in ("map_type", "key_size", "value_size"))
    return found


def entries(pid):
    """Keys in all its hash maps together; arrays have a fixed size."""
    total = 0
    for number, (kind, size, _) in maps(pid).items():
        if kind != HASH:
            continue
        fd = bpf(FD_BY_ID, Attr(number))
        if fd < 0:
            continue
        key, following = None, ctypes.create_string_buffer(size)
        while bpf(NEXT_KEY, Attr(fd, 0, ctypes.cast(key, ctypes.c_void_p), ctypes.cast(following, ctypes.c_void_p))) == 0:
            total += 1
            key, following = following, ctypes.create_string_buffer(size)
        os.close(fd)
    return total


def counters(pid):
    """struct mw_counters, summed over the CPUs."""
    body = re.search(r"struct mw_counters \{(.*?)\};", ABI.read_text(), re.S).group(1)
    names = re.findall(r"mw_u64 (\w+);", body)
    cpus = int(pathlib.Path("/sys/devices/system/cpu/possible").read_text().strip().split("-")[-1]) + 1
    for number, (kind, _, size) in maps(pid).items():
        if kind == PERCPU_ARRAY and size == 8 * len(names):
            fd = bpf(FD_BY_ID, Attr(number))
            key, values = ctypes.c_uint32(0), (ctypes.c_uint64 * (len(names) * cpus))()
            got = bpf(LOOKUP, Attr(fd, 0, ctypes.addressof(key), ctypes.addressof(values)))
            os.close(fd)
            if got == 0:
                return {name: sum(values[i::len(names)]) for i, name in enumerate(names)}
    return {}
