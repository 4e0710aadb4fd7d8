"""Which processes are watched when not all are: by name, by cgroup."""
import os
import signal

from .harness import Skipped, case, expect, wait_for
from .lifecycle import PLAIN, patched, probe_bytes, untouched
from .process import Process, Target
from .whole_host import copy_of, sums, watch


@case("select/by-name-when-it-starts", builds=PLAIN)
def by_name(context):
    binary = copy_of(context, "mw-chosen")
    mapwatch = watch(context, "-n", "mw-chosen")
    expect("watching 0 processes yet" in mapwatch.err.text(), f"said: {mapwatch.err.text()[-400:]}")
    for _ in range(2):  # it outlives the processes it watches
        target = context.own(Target(binary, "rw3", pace="1ms", held=False))
        mapwatch.attached(target.pid)
        target.finish()
    mapwatch.stop()
    expect(sums(mapwatch)[0] == 2, f"sums: {sums(mapwatch)}")


@case("select/by-cgroup-leaves-siblings-unpatched", builds=PLAIN)
def by_cgroup(context):
    folder = next((f for f in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if os.path.exists(f + "/cgroup.procs")), None)
    if not folder:
        raise Skipped("no cgroup v2 hierarchy")
    group = f"{folder}/mapwatch-e2e-{os.getpid()}"
    try:
        os.mkdir(group)
    except OSError as error:
        raise Skipped(f"no cgroup can be made: {error}") from None
    context.stack.callback(lambda: wait_for("end of the cgroup", lambda: not os.path.exists(group) or os.rmdir(group) is None, 5))
    binary = copy_of(context, "one")
    mapwatch = watch(context, "--cgroup", "/" + os.path.basename(group))
    other = context.own(Target(binary, "rw3", pace="1ms", held=False))
    inside = context.own(Process(["sh", "-c", f"echo $$ > {group}/cgroup.procs; exec {binary} -pace 1ms rw3"]))
    mapwatch.attached(inside.pid)
    probes = probe_bytes(context, other.pid)
    expect(patched(inside.pid, probes) == len(probes), "the process in the cgroup is not patched")
    expect(untouched(other.pid, probes), "a process outside of the cgroup is patched")
    mapwatch.stop()
    inside.signal(signal.SIGTERM)
    expect(inside.wait() == 0, "the target failed")
    other.finish()
