"""CPU time and memory of processes."""
import os
import pathlib
import time


def seconds(pid):
    """CPU time of a process so far, to the nanosecond: its CPU clock (MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED in the
    kernel's include/linux/posix-timers_types.h)."""
    return time.clock_gettime(~pid << 3 | 2)


def with_children(pid):
    """The same and what its children used: those that live, and those that it waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    total = seconds(pid) + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            try:
                total += with_children(int(child))
            except (OSError, ValueError):
                continue  # it ended in between, and is counted among those waited for from now on
    return total


def resident(pid):
    """Bytes of memory in use now."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
