"""What depends on the running kernel, as facts of its release: the same cases pass on each of them (tests/kernels/run)."""
import os
import re

from .bad_input import UNSUPPORTED, refused
from .fixtures import NEWEST, build
from .harness import case, expect
from .hosts import checks_of
from .process import Mapwatch, Target, run_to_end

PLAIN = [(NEWEST, "plain")]
RELEASE = tuple(int(n) for n in re.match(r"(\d+)\.(\d+)", os.uname().release).groups())
HAS_MULTI = RELEASE >= (6, 6)
# Since 6.10 a link's PID filter means the process, before that one thread of it.
ONE_PROCESS = RELEASE >= (6, 10)


@case("kernel/auto-takes-what-this-kernel-has", builds=PLAIN)
def auto(context):
    target = context.own(Target(build(NEWEST), "rw3", pace="1ms"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    said = mapwatch.err.text()
    wanted = "uprobe_multi" if HAS_MULTI else "perf_event"
    expect(f", {wanted}" in said, f"not {wanted} on kernel {RELEASE}: {said}")
    expect(("inode-wide" in said) == (not ONE_PROCESS), f"on kernel {RELEASE}: {said}")
    summary = mapwatch.stop()
    expect(summary["ns_per_hit"] > 0, "what a hit costs was not measured, so that the cost of watching would read as none")


@case("kernel/multi-is-taken-or-refused", builds=PLAIN)
def multi(context):
    target = context.own(Target(build(NEWEST), "rw3", pace="1ms"))
    if HAS_MULTI:
        mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--attach", "multi").attached(target.pid)
        expect(", uprobe_multi" in mapwatch.err.text(), mapwatch.err.text()[-400:])
        mapwatch.stop()
    else:
        refused(run_to_end(context, "watch", "-p", target.pid, "--attach", "multi"), UNSUPPORTED, "uprobe_multi", "6.6",
                "--attach auto")
    expect(target.running(), "the target is dead")


@case("kernel/doctor-tells-what-it-has")
def doctor_host(context):
    status, checks = checks_of(context)
    expect(status == 0, f"doctor ended with {status}: {[c for c in checks.values() if c['status'] != 'ok']}")
    for name in ("kernel", "programs", "perf_uprobe", "ring_buffer", "capabilities"):
        expect(checks[name]["status"] == "ok", f"{checks[name]}")
    expect(checks["uprobe_multi"]["status"] == ("ok" if HAS_MULTI else "warn"), f"{checks['uprobe_multi']}")
    expect(checks["pid_filter"]["status"] == ("ok" if ONE_PROCESS else "warn"), f"{checks['pid_filter']}")
    told = checks["hit_cost"]
    expect(told["status"] == "ok" and all(ns > 0 for ns in told["ns_per_hit"].values()), f"{told}")


@case("kernel/a-hit-is-priced-by-the-link-that-will-be-used")
def priced(context):
    """Each class by itself, also where it is perf_event that is asked for."""
    for flags, kind in (([], "uprobe_multi" if HAS_MULTI else "perf_event"), (["--attach", "perf"], "perf_event")):
        _, checks = checks_of(context, *flags)
        told = checks["hit_cost"]
        expect(set(told["ns_per_hit"]) == {"nop", "push", "jcc", "call", "entry"}, f"{told}")
        expect(all(ns > 0 for ns in told["ns_per_hit"].values()) and kind in told["detail"], f"doctor {flags}: {told}")


@case("kernel/doctor-refuses-multi-where-there-is-none")
def doctor_multi(context):
    status, checks = checks_of(context, "--attach", "multi")
    expect(status == (0 if HAS_MULTI else UNSUPPORTED), f"doctor ended with {status}")
    expect(checks["uprobe_multi"]["status"] == ("ok" if HAS_MULTI else "fail"), f"{checks['uprobe_multi']}")
