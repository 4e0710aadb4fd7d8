"""Correct programs in situations that have tripped such tools before: each must stay without a report."""
import os
import subprocess
import time

from . import check
from .fixtures import NEWEST, build
from .harness import Skipped, case, expect, wait_for
from .process import Mapwatch, Target

OLD = "1.22.12"


def watched(context, *targets, flags=()):
    """Attaches one mapwatch to the targets and lets them go."""
    pids = [t.pid for t in targets]
    mapwatch = Mapwatch(context, "watch", "-p", ",".join(map(str, pids)), *flags).attached(*pids)
    for target in targets:
        target.release()
    return mapwatch


def correct(context, version, scenario, *args, **options):
    return context.own(Target(build(version), scenario, *args, **options))


def finish(mapwatch, *targets, hits=1000):
    mapwatch.stop()
    summary = check.silent(mapwatch, hits)
    for target in targets:
        target.finish()
    return summary


@case("trap/rwmutex-dwell-1us", builds=[(NEWEST, "plain")])
def rwmutex_dwell(context):
    target = correct(context, NEWEST, "rw3")
    mapwatch = watched(context, target, flags=["--dwell", "1us"])
    time.sleep(600 if context.full else 60)
    summary = finish(mapwatch, target, hits=100_000)
    expect(summary["dwells"] > 100, f"only {summary['dwells']} dwells: the trap was not set")


@case("trap/rwmutex-dwell-1us-old-maps", quick=False, builds=[(OLD, "plain")])
def rwmutex_dwell_old(context):
    target = correct(context, OLD, "rw3")
    mapwatch = watched(context, target, flags=["--dwell", "1us"])
    time.sleep(600)
    finish(mapwatch, target, hits=100_000)


def copies(context, count, scenario, pace):
    """Heaps of old Go versions all begin at one address: equal maps in different processes."""
    targets = [correct(context, OLD, scenario, pace=pace) for _ in range(count)]
    mapwatch = watched(context, *targets)
    time.sleep(60 if context.full else 8)
    finish(mapwatch, *targets)


@case("trap/two-copies", builds=[(OLD, "plain")])
def two_copies(context):
    copies(context, 2, "write_write_mutex", "0")


@case("trap/eight-copies", builds=[(OLD, "plain")])
def eight_copies(context):
    copies(context, 8, "write_read_rwmutex", "20us")


def exec_into(context, before, after):
    after_binary = build(after)
    target = correct(context, before, "exec", "2s", after_binary, "-pace", "100us", "rw3")
    mapwatch = watched(context, target)
    def executed():
        expect(target.running(), f"the target died with {target.child.poll()}: {target.err.text()[-800:]}; "
                                 f"mapwatch: {mapwatch.err.text()[-400:]}")
        try:
            return os.readlink(f"/proc/{target.pid}/exe") == str(after_binary)
        except FileNotFoundError:
            return False  # a thread that is not the leader execs: until it has taken the leader's place there is no exe

    wait_for("exec", executed, 10)
    expect(target.out.wait("^ready$", 5), "the second program did not start")
    time.sleep(4)
    expect(target.running(), f"the second program died: {target.err.text()[-400:]}")
    mapwatch.stop()
    check.silent(mapwatch)
    target.finish()


@case("trap/exec-into-newer-go", builds=[(OLD, "plain"), (NEWEST, "plain")])
def exec_newer(context):
    exec_into(context, OLD, NEWEST)


@case("trap/exec-into-older-go", builds=[("1.23.12", "plain"), ("1.17.13", "plain")])
def exec_older(context):
    exec_into(context, "1.23.12", "1.17.13")


@case("trap/fork-without-exec", builds=[(NEWEST, "plain")])
def fork(context):
    target = correct(context, NEWEST, "fork")
    mapwatch = watched(context, target)
    time.sleep(5)
    finish(mapwatch, target)


def start_as(pid, start):
    """Runs start() until the process it gives has this PID; other processes of the machine may take it first."""
    for _ in range(50):
        try:
            with open("/proc/sys/kernel/ns_last_pid", "w") as last:
                last.write(str(pid - 1))
        except OSError as error:
            raise Skipped(f"cannot choose a PID: {error}") from None
        process = start()
        if process.pid == pid:
            return process
        process.close()
    raise Skipped(f"PID {pid} could not be had again in 50 tries")


@case("trap/pid-reuse", builds=[(OLD, "plain"), (NEWEST, "plain")])
def pid_reuse(context):
    first = correct(context, OLD, "write_write_mutex", pace="50us")
    other = correct(context, OLD, "rw3", pace="100us")
    mapwatch = watched(context, first, other)
    time.sleep(2)
    first.finish()
    second = start_as(first.pid, lambda: Target(build(NEWEST), "write_read_rwmutex", pace="50us"))
    context.own(second)
    second.release()
    time.sleep(3)
    expect(second.running() and other.running(), "a target died")
    finish(mapwatch, second, other)


@case("trap/one-cpu", builds=[(NEWEST, "plain")])
def one_cpu(context):
    target = correct(context, NEWEST, "rw3", preexec_fn=lambda: os.sched_setaffinity(0, {0}))
    mapwatch = watched(context, target)
    time.sleep(4)
    summary = finish(mapwatch, target)
    expect(summary["dwells"] == 0, f"{summary['dwells']} dwells on one CPU, where they can tell nothing")


@case("trap/one-cpu-by-taskset-later", builds=[(NEWEST, "plain")])
def one_cpu_later(context):
    target = correct(context, NEWEST, "rw3")
    mapwatch = watched(context, target)
    time.sleep(1)
    subprocess.run(["taskset", "-a", "-p", "-c", "0", str(target.pid)], check=True, stdout=subprocess.DEVNULL)
    time.sleep(4)
    finish(mapwatch, target)


@case("trap/one-cpu-by-taskset-before-the-race", builds=[(NEWEST, "plain")])
def one_cpu_race(context):
    """Its threads take turns on one CPU: only who is taken off it where it stands can be met by the other one."""
    for _ in range(30):
        target = context.own(Target(build(NEWEST), "write_write", pace="1ms"))
        mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--sample", "full").attached(target.pid)
        subprocess.run(["taskset", "-a", "-p", "-c", "0", str(target.pid)], check=True, stdout=subprocess.DEVNULL)
        target.release()
        mapwatch.wait_hazard(4)
        mapwatch.stop()
        target.close()
        for hazard in mapwatch.kind("hazard"):
            if hazard["evidence"] == "watch":
                sides = [[frame["func"] for frame in access["stack"]] for access in hazard["accesses"]]
                expect({side[1] for side in sides} <= {"main.writeWriteA", "main.writeWriteB"}, f"called from {sides}")
                expect(all(side[-1].startswith("main.(*control).spawn") for side in sides), f"stacks: {sides}")
                return
    raise AssertionError("no hazard of two threads of one CPU in 30 runs")


@case("trap/gomaxprocs-1", builds=[(NEWEST, "plain")])
def gomaxprocs(context):
    target = correct(context, NEWEST, "write_write_mutex", env={"GOMAXPROCS": "1"})
    mapwatch = watched(context, target)
    time.sleep(4)
    summary = finish(mapwatch, target)
    expect(summary["dwells"] == 0, f"{summary['dwells']} dwells with GOMAXPROCS=1, where they can tell nothing")


def long_twin(name):
    """Every twin once in the newest Go with operations as fast as they come, longer than in the matrix."""
    def run(context):
        binary = build(NEWEST)
        target = context.own(Target(binary, name, pace="0"))
        mapwatch = watched(context, target)
        time.sleep(60 if context.full else 4)
        finish(mapwatch, target)
    return run


for _name in ("relay", "mutex_across_sleep", "transfer_gc", "pool", "copy_on_write", "once", "fast32_caslock"):
    case(f"trap/twin/{_name}", builds=[(NEWEST, "plain")])(long_twin(_name))

