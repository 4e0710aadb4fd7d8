"""perf_event probes, all that kernels before 6.6 have: --attach perf takes them on any kernel."""
import time

from . import check, matrix
from .fixtures import NEWEST, build, scenarios
from .harness import case, expect
from .lifecycle import crash_of, kill_9, patched, probe_bytes
from .process import Mapwatch, Target

FLAGS = ("--attach", "perf")
# The three places of a probe: a jcc, a push in front of the old maps, a push in front of the new ones.
VERSIONS = ("1.17.13", "1.23.12", NEWEST)
RACES = ("write_write", "delete_write", "iterate_write")


def cell(version):
    def run(context):
        binary = build(version)
        known = scenarios(binary)
        for name in RACES:
            matrix.racy(context, binary, version, known[name], FLAGS)
            matrix.twin(context, binary, known[known[name]["twin"]], 5 if context.full else 2, FLAGS)
    return run


def crash(version):
    """Up to Go 1.18 through throw, whose probe is single-stepped; later through fatal."""
    def run(context):
        crash, mapwatch = crash_of(context, "write_write", "200us", version, FLAGS)
        expect(crash["class"] == "write_write", f"class {crash['class']}")
        frame = check.user_frame(crash)
        expect(frame and frame["func"] in scenarios(build(version))["write_write"]["funcs"], f"crash in {frame}")
        expect(", perf_event" in mapwatch.err.text(), f"other probes were taken: {mapwatch.err.text()[-400:]}")
    return run


for _version in VERSIONS:
    case(f"perf/{_version}", builds=[(_version, "plain")])(cell(_version))
    case(f"perf/crash-{_version}", builds=[(_version, "plain")])(crash(_version))


@case("perf/kill-9-leaves-target-unpatched", builds=[(NEWEST, "plain")])
def perf_kill_9(context):
    kill_9(context, FLAGS)


@case("perf/neighbour-of-the-same-file", builds=[(NEWEST, "plain")])
def neighbour(context):
    """These probes stand in every process of the file: a racy one that nobody asked for is patched, and not told of."""
    binary = build(NEWEST)
    target = context.own(Target(binary, "rw3", pace="100us"))
    other = context.own(Target(binary, "write_write", pace="2ms"))
    probes = probe_bytes(context, target.pid)
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, *FLAGS).attached(target.pid)
    expect(patched(other.pid, probes) == len(probes), f"{patched(other.pid, probes)} of {len(probes)} probes in the neighbour")
    expect("other processes of this file are patched too" in mapwatch.err.text(), "mapwatch does not say so")
    other.release()
    target.release()
    time.sleep(3)
    mapwatch.stop()
    check.silent(mapwatch, hits=100)
    target.finish()


@case("perf/two-targets-of-one-file", builds=[(NEWEST, "plain")])
def two_targets(context):
    """They share one set of probes, which must outlive the first of them to end."""
    binary = build(NEWEST)
    first = context.own(Target(binary, "rw3", pace="100us"))
    second = context.own(Target(binary, "rw3", pace="100us"))
    probes = probe_bytes(context, second.pid)
    mapwatch = Mapwatch(context, "watch", "-p", f"{first.pid},{second.pid}", *FLAGS).attached(first.pid, second.pid)
    first.release()
    second.release()
    time.sleep(0.5)
    first.finish()
    expect(mapwatch.err.wait(rf"PID {first.pid} is gone", 10), "mapwatch did not see the first end")
    expect(patched(second.pid, probes) == len(probes), "the second lost its probes with the first")
    mapwatch.stop()
    check.silent(mapwatch, hits=100)
    second.finish()
