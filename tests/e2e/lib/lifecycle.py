"""Attach, detach, pass through, and end: whatever happens to one side, the other goes on."""
import json
import os
import signal
import subprocess
import time

from . import check
from .fixtures import NEWEST, build, scenarios
from .harness import case, expect, wait_for
from .process import Mapwatch, Process, Target, run_to_end

PLAIN = [(NEWEST, "plain")]
HAZARDS = 66


def target_for(context, scenario, *args, **options):
    return context.own(Target(build(NEWEST), scenario, *args, **options))


def run_args(scenario, *args, pace="500us", seconds="20s"):
    return ["--", build(NEWEST), "-pace", pace, "-for", seconds, scenario, *args]


def probe_bytes(context, pid):
    """(address, original bytes) of every probe that mapwatch would set in this process, which is not a PIE: the
    addresses by --dry-run, the bytes from the file."""
    status, out, err = run_to_end(context, "watch", "-p", pid, "--dry-run", "-o", "json")
    expect(status == 0, f"--dry-run ended with {status}: {err[-400:]}")
    plan = [json.loads(line) for line in out.splitlines()]
    with open(f"/proc/{pid}/exe", "rb") as file:
        binary = file.read()
    probes = [(int(p["address"], 16), binary[p["file_offset"]:p["file_offset"] + 4]) for p in plan if p["kind"] == "probe"]
    expect(probes, f"--dry-run names no probe: {out[-400:]}")
    return probes


def read_text(pid, address, size):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(size)


def patched(pid, probes):
    return sum(read_text(pid, address, 1) == b"\xcc" for address, _ in probes)


def untouched(pid, probes):
    return all(read_text(pid, address, len(text)) == text for address, text in probes)


@case("life/kill-9-leaves-target-unpatched", builds=PLAIN)
def kill_9(context, flags=()):
    target = target_for(context, "rw3", pace="100us")
    probes = probe_bytes(context, target.pid)
    expect(untouched(target.pid, probes), "the text differs from the plan before anything was attached")
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, *flags).attached(target.pid)
    expect(patched(target.pid, probes) == len(probes), f"{patched(target.pid, probes)} of {len(probes)} probes stand")
    target.release()
    time.sleep(1)
    mapwatch.signal(signal.SIGKILL)
    mapwatch.wait()
    wait_for("original text", lambda: untouched(target.pid, probes), 5)
    time.sleep(0.5)
    measured = target.finish()
    expect(measured["ops"] > 1000, "the target stood still")


def ends_by(context, number):
    target = target_for(context, "rw3", pace="100us")
    probes = probe_bytes(context, target.pid)
    mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    target.release()
    time.sleep(0.5)
    mapwatch.stop(number)
    expect(untouched(target.pid, probes), "probes are left in the text")
    check.silent(mapwatch, hits=100)
    target.finish()


for _signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    case(f"life/{_signal.name.lower()}-detaches-then-sums-up", builds=PLAIN)(
        lambda context, number=_signal: ends_by(context, number))


@case("life/closed-stdout-detaches", builds=PLAIN)
def closed_pipe(context):
    """The reader goes away, as `| head -1` does: mapwatch ends by itself at the next finding."""
    target = target_for(context, "write_read", pace="2ms")
    probes = probe_bytes(context, target.pid)
    read_end, write_end = os.pipe()
    child = subprocess.Popen([context.mapwatch, "watch", "-p", str(target.pid), "-o", "json"], stdout=write_end,
                             stderr=subprocess.PIPE, text=True)
    try:
        os.close(write_end)
        for line in child.stderr:
            if f"attached to PID {target.pid}" in line:
                break
        os.close(read_end)
        target.release()
        status = child.wait(30)
        expect(status in (0, 1), f"mapwatch ended with {status}")
        if target.running():
            try:
                expect(untouched(target.pid, probes), "probes are left in the text")
            except (FileNotFoundError, ProcessLookupError):
                pass  # Go's own crash came in between
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


@case("life/ends-with-its-target", builds=PLAIN)
def ends_with_target(context):
    target = target_for(context, "rw3", pace="100us", seconds=1)
    mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    target.release()
    expect(mapwatch.wait(15) == 0, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    check.silent(mapwatch, hits=100)
    expect(target.wait() == 0, "the target failed")


@case("life/duration", builds=PLAIN)
def duration(context):
    target = target_for(context, "rw3", pace="100us", held=False)
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "-d", "1500ms")
    expect(mapwatch.wait(15) == 0, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    summary = check.silent(mapwatch, hits=100)
    expect(1.0e9 < summary["duration_ns"] < 4e9, f"-d 1500ms lasted {summary['duration_ns']} ns")
    target.finish()


@case("life/second-mapwatch-is-refused", builds=PLAIN)
def second(context):
    target = target_for(context, "rw3", pace="1ms")
    mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    target.release()
    status, _, err = run_to_end(context, "watch", "-p", target.pid)
    expect(status == 1, f"the second ended with {status}: {err[-400:]}")
    expect(str(mapwatch.pid) in err, f"the second does not name the first ({mapwatch.pid}): {err[-400:]}")
    time.sleep(0.5)
    mapwatch.stop()
    check.silent(mapwatch, hits=100)
    third = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    third.stop()
    target.finish()


@case("run/first-operation-is-seen", builds=PLAIN)
def first_operation(context):
    mapwatch = Mapwatch(context, "run", *run_args("count", "5000", pace="0"))
    expect(mapwatch.wait(20) == 0, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    check.silent(mapwatch, hits=5000)


@case("run/status-and-streams-pass-through", builds=PLAIN)
def status_passes(context):
    status, out, err = run_to_end(context, "run", "--", build(NEWEST), "status", "42", "a", "b c", stdin="hello\n")
    expect(status == 42, f"status {status}, not 42: {err[-400:]}")
    expect(out.splitlines() == ["args a,b c", "stdin hello"], f"stdout is {out!r}")
    expect("stderr hello" in err.splitlines(), f"stderr is {err!r}")


@case("run/signals-pass-through", builds=PLAIN)
def signals_pass(context):
    mapwatch = Mapwatch(context, "run", *run_args("signals", pace="1ms"))
    expect(mapwatch.out.wait("^ready$", 15), f"the fixture did not start: {mapwatch.err.text()[-400:]}")
    mapwatch.signal(signal.SIGUSR1)
    expect(mapwatch.wait(10) == 7, f"status {mapwatch.child.returncode}, not the 7 of the handler")
    expect("caught SIGUSR1" in mapwatch.out.text(), "the signal did not arrive")
    mapwatch.summary()


@case("run/death-by-signal", builds=PLAIN)
def death_by_signal(context):
    mapwatch = Mapwatch(context, "run", *run_args("signals", pace="1ms"))
    expect(mapwatch.out.wait("^ready$", 15), "the fixture did not start")
    mapwatch.signal(signal.SIGTERM)
    expect(mapwatch.wait(10) == 128 + signal.SIGTERM, f"status {mapwatch.child.returncode}, not 143")


@case("run/66-on-hazards", builds=PLAIN)
def run_66(context):
    """Go's own crash may come first: the status of CMD then wins."""
    for _ in range(12):
        mapwatch = Mapwatch(context, "run", *run_args("write_read", pace="2ms", seconds="6s"))
        status = mapwatch.wait(30)
        hazards = mapwatch.kind("hazard")
        expect((status == HAZARDS) if hazards and status != 2 else status in (0, 2), f"status {status}, {len(hazards)} hazards")
        if status == HAZARDS:
            return
        expect(status == 0 or "fatal error: concurrent map" in mapwatch.err.text(), "status 2 without Go's own crash")
    expect(False, "Go was faster than mapwatch, or no two goroutines met, in all of 12 runs")


@case("run/0-on-a-correct-program", builds=PLAIN)
def run_0(context):
    mapwatch = Mapwatch(context, "run", *run_args("rw3", pace="100us", seconds="2s"))
    expect(mapwatch.wait(20) == 0, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    check.silent(mapwatch)


@case("run/follow-finds-go-behind-a-shell", builds=PLAIN)
def follow(context):
    script = f"{build(NEWEST)} -pace 0 count 3000; exec {build(NEWEST)} -pace 100us -for 1s rw3"
    mapwatch = Mapwatch(context, "run", "--follow", "--", "sh", "-c", script)
    expect(mapwatch.wait(30) == 0, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    check.silent(mapwatch, hits=3000)


@case("run/without-follow-says-so", builds=PLAIN)
def no_follow(context):
    status, _, err = run_to_end(context, "run", "--", "sh", "-c", f"{build(NEWEST)} count 10")
    expect(status == 3, f"status {status}, not 3: {err[-400:]}")
    expect("--follow" in err, f"no hint at --follow: {err[-400:]}")


@case("run/never-go")
def never_go(context):
    status, _, err = run_to_end(context, "run", "--", "/bin/true")
    expect(status == 3, f"status {status}, not 3: {err[-400:]}")
    expect("Go" in err, f"no hint: {err[-400:]}")


@case("run/command-not-found")
def not_found(context):
    status, _, err = run_to_end(context, "run", "--", "/does/not/exist")
    expect(status == 127, f"status {status}, not 127: {err[-400:]}")
    expect("/does/not/exist" in err, f"the message does not name it: {err[-400:]}")


@case("run/command-not-executable")
def not_executable(context):
    path = context.scratch / "data"
    path.write_text("just text\n")
    status, _, err = run_to_end(context, "run", "--", path)
    expect(status == 126, f"status {status}, not 126: {err[-400:]}")


def racing(context, *flags, scenario="write_read", pace="2ms"):
    """A racy target under mapwatch until it crashes or mapwatch ends by itself; tried again when Go was faster."""
    for _ in range(4):
        target = target_for(context, scenario, pace=pace)
        mapwatch = Mapwatch(context, "watch", "-p", target.pid, *flags).attached(target.pid)
        target.release()
        if mapwatch.wait_hazard(20):
            return target, mapwatch
        mapwatch.stop()
        target.close()
    expect(False, "no hazard in 4 runs")


@case("flag/exit-code", builds=PLAIN)
def exit_code(context):
    _, mapwatch = racing(context, "--exit-code", "9")
    mapwatch.signal(signal.SIGINT)
    expect(mapwatch.wait() == 9, f"status {mapwatch.child.returncode}, not 9")
    mapwatch.summary()


@case("flag/halt-on-first", builds=PLAIN)
def halt_on_first(context):
    target, mapwatch = racing(context, "--halt-on-first")
    expect(mapwatch.wait(5) == 0, f"status {mapwatch.child.returncode}")
    expect(len(mapwatch.kind("hazard")) == 1, f"{len(mapwatch.kind('hazard'))} hazards printed, not 1")
    mapwatch.summary()


@case("flag/max-reports", builds=PLAIN)
def max_reports(context):
    target, mapwatch = racing(context, "--max-reports", "1", scenario="storm", pace="5ms")
    time.sleep(1)
    mapwatch.stop()
    expect(len(mapwatch.kind("hazard")) == 1, f"{len(mapwatch.kind('hazard'))} hazards printed, not 1")


def crash_of(context, scenario, pace, version=NEWEST, flags=()):
    """Runs a racy program into Go's own crash, watched; its one crash object, and mapwatch."""
    target = context.own(Target(build(version), scenario, pace=pace))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, *flags).attached(target.pid)
    target.release()
    expect(target.wait(60) == 2, f"the target ended with {target.child.returncode}")
    expect(mapwatch.wait(15) == 0, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    crashes = mapwatch.kind("crash")
    expect(len(crashes) == 1, f"{len(crashes)} crash objects, not 1")
    mapwatch.summary()
    crash = crashes[0]
    expect(target.fatal() == "fatal error: " + crash["reason"], f"Go said '{target.fatal()}', mapwatch '{crash['reason']}'")
    expect(crash["process"]["pid"] == target.pid, f"pid {crash['process']['pid']}")
    return crash, mapwatch


@case("crash/one-object-with-reason-and-lead", builds=PLAIN)
def crash_object(context):
    classes = {"concurrent map writes": "write_write", "concurrent map read and map write": "read_write",
               "concurrent map iteration and map write": "iterate_write"}
    for scenario in ("write_write", "write_read", "iterate_write"):
        crash, mapwatch = crash_of(context, scenario, "200us")
        expect(crash["class"] == classes[crash["reason"]], f"class {crash['class']} for '{crash['reason']}'")
        known = scenarios(build(NEWEST))[scenario]
        frame = check.user_frame(crash)
        expect(frame and frame["func"] in known["funcs"], f"crash in {frame}, not in {known['funcs']}")
        before = [h for h in mapwatch.kind("hazard") if h["printed_ns"] < crash["time_ns"]]
        if before:
            expect(crash["lead_ns"] and 0 < crash["lead_ns"] < 61e9, f"lead {crash['lead_ns']} after {len(before)} hazards")
        else:
            expect(crash["lead_ns"] is None, f"lead {crash['lead_ns']} and no hazard was printed before")


@case("crash/many-goroutines-one-object", builds=PLAIN)
def crash_storm(context):
    crash, _ = crash_of(context, "storm", "200us")
    expect(crash["class"] == "write_write", f"class {crash['class']}")


@case("crash/fatal-string-not-resident", builds=PLAIN)
def crash_paged_out(context):
    """A private copy of the binary: pages of the file cache that others map would stay."""
    copy = context.scratch / "paged"
    copy.write_bytes(build(NEWEST).read_bytes())
    copy.chmod(0o755)
    target = context.own(Target(copy, "paged_out", pace="200us"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    target.release()
    expect(target.wait(60) == 2, f"the target ended with {target.child.returncode}")
    mapwatch.wait(15)
    crashes = mapwatch.kind("crash")
    expect(len(crashes) == 1, f"{len(crashes)} crash objects, not 1")
    expect(crashes[0]["reason"] == "concurrent map writes", f"reason '{crashes[0]['reason']}'")


@case("crash/old-go-through-throw", builds=[("1.17.13", "plain")])
def crash_old(context):
    target = context.own(Target(build("1.17.13"), "write_write", pace="200us"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    target.release()
    expect(target.wait(60) == 2, f"the target ended with {target.child.returncode}")
    mapwatch.wait(15)
    crashes = mapwatch.kind("crash")
    expect(len(crashes) == 1 and crashes[0]["reason"] == "concurrent map writes", f"crashes: {crashes}")


@case("loss/full-ring-is-counted-and-shown", builds=PLAIN)
def full_ring(context):
    """Eight processes crash while mapwatch is stopped: a ring of one page has room for four such events."""
    targets = [target_for(context, "storm") for _ in range(8)]
    pids = [target.pid for target in targets]
    mapwatch = Mapwatch(context, "watch", "-p", ",".join(map(str, pids)), "--ring-size", "4096", "--on-crash", "none")
    mapwatch.attached(*pids)
    mapwatch.signal(signal.SIGSTOP)
    for target in targets:
        target.release()
    for target in targets:
        expect(target.wait(60) == 2, f"a target ended with {target.child.returncode}: {target.err.text()[-400:]}")
    mapwatch.signal(signal.SIGCONT)
    expect(mapwatch.wait(15) == 0, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    summary, lost, crashes = mapwatch.summary(), mapwatch.kind("lost"), mapwatch.kind("crash")
    expect(len(crashes) <= 4, f"{len(crashes)} crashes came through a ring of 4096 bytes")
    expect(summary["lost"] >= 8 - len(crashes), f"{summary['lost']} lost, but only {len(crashes)} of 8 crashes were told")
    expect(lost and lost[-1]["stage"] == "ring" and lost[-1]["count"] > 0, f"lost objects: {lost}")
