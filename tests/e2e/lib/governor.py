"""--sample: what a target is charged, and what is armed of it."""
import signal
import time

from . import check
from .fixtures import NEWEST, build, scenarios
from .harness import case, expect, wait_for
from .lifecycle import PLAIN, probe_bytes, target_for, untouched
from .process import Mapwatch, Target

BUDGET = 0.01
OLD = "1.22.12"


def watched(context, *flags, scenario="write_write_mutex", pace="0", seconds=6, version=NEWEST):
    """A correct program under mapwatch for some seconds: (its measurements, the summary)."""
    target = context.own(Target(build(version), scenario, pace=pace))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, *flags).attached(target.pid)
    target.release()
    time.sleep(seconds)
    expect(target.running(), f"the target died: {target.err.text()[-400:]}")
    summary = mapwatch.stop()
    expect(not mapwatch.kind("hazard"), f"a correct program is accused: {mapwatch.kind('hazard')[:1]}")
    return target.finish(), summary


@case("governor/full-arms-everything", builds=PLAIN)
def full(context):
    _, summary = watched(context, "--sample", "full", pace="100us", seconds=2)
    expect(summary["sites_armed"] == summary["sites"] > 0, f"armed at the end: {summary['sites_armed']} of {summary['sites']}")
    expect(summary["armed_share"] > 0.9, f"armed_share {summary['armed_share']}")


@case("governor/a-hot-program-is-charged-its-budget-at-most", builds=PLAIN + [(OLD, "plain")])
def hot(context):
    """Some million operations a second: watching all of them is most of its time."""
    for version in (NEWEST, OLD):
        free, cheap = watched(context, "--sample", "auto", "--budget", "1%", version=version)
        paid, dear = watched(context, "--sample", "full", seconds=3, version=version)
        expect(cheap["hits"] > 0, "nothing was seen at all")
        expect(cheap["target_cost"] <= BUDGET, f"charged {cheap['target_cost']:.4f} of its time, the budget is {BUDGET}")
        expect(dear["target_cost"] > 10 * BUDGET, f"all sites armed cost {dear['target_cost']:.4f} only: no hot program")
        expect(free["ops_per_s"] > paid["ops_per_s"], f"{free['ops_per_s']} operations a second are no more than {paid['ops_per_s']}")


@case("governor/a-quiet-program-stays-armed", builds=PLAIN)
def quiet(context):
    """What costs less than the budget has no reason to be disarmed for long."""
    _, summary = watched(context, "--sample", "auto", pace="10ms", seconds=8)
    expect(summary["armed_share"] > 0.5, f"armed_share {summary['armed_share']} of a program that costs {summary['target_cost']}")


@case("governor/call-sites-take-the-place-of-functions", builds=PLAIN)
def calls(context):
    """After a second of its life; the probes are in the program's own functions then."""
    _, summary = watched(context, "--sample", "auto", pace="1ms", seconds=6)
    functions = len(probe_bytes(context, target_for(context, "rw3").pid))
    expect(summary["sites"] > 4 * functions, f"{summary['sites']} sites, {functions} function probes: still by functions")


@case("governor/one-in-n", builds=PLAIN)
def share(context):
    _, summary = watched(context, "--sample", "1/4", pace="1ms", seconds=6)
    expect(0 < summary["armed_share"] < 0.6, f"armed_share {summary['armed_share']} for 1/4")


@case("governor/a-race-is-found-by-call-sites", builds=PLAIN)
def race(context):
    """With a budget that is no bound, both sides are named by call sites as by functions."""
    for _ in range(12):
        target = target_for(context, "struct_held", pace="500us")
        mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--sample", "auto", "--budget", "100%")
        mapwatch.attached(target.pid)
        time.sleep(2)  # call sites are armed when it has lived for a second
        target.release()
        hazard = mapwatch.wait_hazard(20, lambda h: all(a["stack"] for a in h["accesses"]))
        mapwatch.signal(signal.SIGINT)
        mapwatch.wait(15)
        target.close()
        if hazard:
            expect(check.hazard(hazard, scenarios(build(NEWEST))["struct_held"], target.pid, NEWEST), f"not named: {hazard}")
            return
    expect(False, "no warning with both stacks in 12 runs")


@case("governor/kill-9-leaves-text-whole", builds=PLAIN)
def kill_9(context):
    target = target_for(context, "rw3", pace="0")
    probes = probe_bytes(context, target.pid)
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--sample", "auto").attached(target.pid)
    target.release()
    time.sleep(2.5)
    mapwatch.signal(signal.SIGKILL)
    mapwatch.wait()
    wait_for("original text", lambda: untouched(target.pid, probes), 10)
    target.finish()
