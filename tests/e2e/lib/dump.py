"""mapwatch dump: the goroutines of a live process or a core, as the user sees them."""
import json
import os
import pathlib
import re
import resource
import signal
import subprocess

from . import fixtures
from .harness import Skipped, case, expect, wait_for
from .goroutines import Park, parse, running
from .process import Mapwatch, run_to_end

NEWEST = fixtures.NEWEST


def dump(context, *args, want=0):
    status, out, err = run_to_end(context, "dump", *args)
    expect(status == want, f"dump {args} ended with {status}: {err[-600:]}")
    return out, err


def same_count_as_go(context, version, mode):
    target = Park(context, fixtures.build(version, mode, "park"))
    grouped, err = dump(context, "-p", target.pid)
    each, _ = dump(context, "-p", target.pid, "-v")
    objects = [json.loads(line) for line in dump(context, "-p", target.pid, "-o", "json")[0].splitlines()]
    expect(target.running(), "the process did not live through being dumped")
    held = re.search(r"was held for ([\d.]+) ms", err)
    expect(held and float(held[1]) > 0, f"not said how long it was held: {err}")
    told = parse(target.own_words())
    told.pop(0, None)
    ours = parse(each)
    expect(set(ours) == set(told), f"ours only {set(ours) - set(told)}, Go's only {set(told) - set(ours)}")
    grouped_sum = sum(int(n) for n in re.findall(r"^(\d+) goroutines? in ", grouped, re.M))
    expect(grouped_sum == len(told), f"{grouped_sum} goroutines in groups, Go has {len(told)}")
    expect(objects[0]["kind"] == "dump" and objects[0]["process"]["pid"] == target.pid, f"{objects[0]}")
    expect(objects[0]["held_ns"] > 0 and not objects[0]["partial"], f"{objects[0]}")
    expect(len(objects[0]["scheduler"]["processors"]) == 4, "GOMAXPROCS is 4")
    stacks = [o for o in objects if o["kind"] == "goroutine"]
    listed = {o["goid"] for o in stacks if not o["system"]}
    expect(listed == set(told), f"JSON only {listed - set(told)}, Go's only {set(told) - listed}")
    spinner = running(told, "main.spinOuter").pop()
    stack = next(o["stack"] for o in stacks if o["goid"] == spinner)
    expect("main.spinOuter" in [f["func"] for f in stack], f"the running goroutine's stack: {stack}")
    expect(re.search(r"^ +\d+  running ", grouped, re.M), "no running P in the table")
    expect("\nTracerPid:\t0\n" in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "still traced")


def register():
    for version, mode in (("1.17.13", "plain"), ("1.23.12", "plain"), (NEWEST, "plain"), (NEWEST, "pie-stripped")):
        def run(context, version=version, mode=mode):
            same_count_as_go(context, version, mode)
        case(f"dump/live-{version}-{mode}", builds=[(version, mode, "park")])(run)


register()


@case("dump/core", builds=[(NEWEST, "pie-stripped", "park")])
def core(context):
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if not re.fullmatch(r"[\w.-]+", pattern):
        raise Skipped(f"core files go elsewhere on this machine ({pattern})")
    binary = fixtures.build(NEWEST, "pie-stripped", "park")
    target = Park(context, binary, core=resource.RLIM_INFINITY)
    living = parse(dump(context, "-p", target.pid, "-v")[0])
    target.last_words()
    dumped = list(context.scratch.glob(pattern + "*"))
    expect(len(dumped) == 1, f"the kernel wrote {len(dumped)} core files")
    of_core = parse(dump(context, "--core", dumped[0], "--exe", binary, "-v")[0])
    expect(set(living) == set(of_core), f"living {set(living)}, core {set(of_core)}")
    dump(context, "--core", binary, "--exe", binary, want=3)
    dumped[0].unlink()


@case("dump/refusals", builds=[(NEWEST, "plain", "park")])
def refusals(context):
    gone = subprocess.Popen(["true"])
    gone.wait()
    _, err = dump(context, "-p", gone.pid, want=1)
    expect(str(gone.pid) in err, f"the PID is not named: {err}")
    other = subprocess.Popen(["sleep", "600"])
    context.stack.callback(other.kill)
    _, err = dump(context, "-p", other.pid, want=3)
    expect("sleep" in err or "Go" in err, f"said of a process that is not Go: {err}")
    dump(context, want=2)
    dump(context, "--core", "/nowhere", "--exe", "/nowhere", want=1)


@case("dump/ended-by-kill-leaves-it-free", builds=[(NEWEST, "plain", "park")])
def killed(context):
    """mapwatch dump dies by SIGKILL at any moment: nobody traces or stops the process afterwards."""
    target = Park(context, fixtures.build(NEWEST, "plain", "park"), "-n", "20000")
    status = pathlib.Path(f"/proc/{target.pid}/status")
    traced = lambda: int(re.search(r"^TracerPid:\t(\d+)", status.read_text(), re.M)[1]) != 0  # noqa: E731
    caught = 0
    for _ in range(40):
        dumper = Mapwatch(context, "dump", "-p", target.pid, output=False)
        while dumper.running() and not traced():
            pass
        caught += traced()
        dumper.signal(signal.SIGKILL)
        dumper.wait()
        wait_for("the tracer to be gone", lambda: not traced(), 5)
        expect(re.search(r"^State:\t[RS]", status.read_text(), re.M), status.read_text()[:200])
        if caught >= 3:
            break
    expect(caught >= 3, f"only {caught} of 40 were killed while they held the process")
    expect(target.running() and "told" in target.own_words(), "the process does not answer")


@case("dump/too-short-a-freeze", builds=[(NEWEST, "plain", "park")])
def too_short(context):
    """What cannot be copied in time is not waited for."""
    target = Park(context, fixtures.build(NEWEST, "plain", "park"), "-n", "20000")
    status, _, err = run_to_end(context, "dump", "-p", target.pid, "--max-freeze", "4ms")
    expect("--max-freeze" in err or "in time" in err, f"status {status}, nothing said of --max-freeze: {err}")
    wait_for("it to run on", lambda: os.path.exists(f"/proc/{target.pid}") and target.running(), 5)
    expect("told" in target.own_words(), "the process does not answer")
