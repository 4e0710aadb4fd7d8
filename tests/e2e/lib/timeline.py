"""The timeline of a crash: times that were taken here, by the same clock, say whether it is right."""
import json
import os
import pathlib
import resource
import signal
import subprocess
import time

from .dossier import crashed, dossier
from .fixtures import NEWEST, build
from .freeze import Watched
from .harness import Skipped, case, expect, preload, wait_for
from .lifecycle import run_args
from .process import Mapwatch, Target

PLAIN = [(NEWEST, "plain")]
PACE = "50us"  # at this it is some seconds to the crash, seldom more
CHAIN = ["attached", "fatal", "let_go", "go_says", "exit", "gone"]


def timeline(crash):
    return json.loads((pathlib.Path(crash["dossier"]) / "timeline.json").read_text())


def events(line, what):
    return [e for e in line["events"] if e["what"] == what]


def at(line, what):
    found = events(line, what)
    expect(len(found) == 1, f"{len(found)} events {what}, not 1: {[e['what'] for e in line['events']]}; {line['missing']}")
    return found[0]["time_ns"]


def in_order(line, chain=CHAIN):
    if seen_first(line) and not events(line, "go_says"):
        chain = [what for what in chain if what != "go_says"]
    times = [(what, at(line, what)) for what in chain]
    for (earlier, before), (later, after) in zip(times, times[1:]):
        expect(before <= after, f"{later} comes {before - after} ns before {earlier}")
    return dict(times)


def seen_first(watched):
    """Another goroutine may have printed before the stop took effect: then the first byte is not ours to see."""
    return any("before the process stood still" in m for m in watched["missing"])


def whole(context, version, mode, scenario="write_write", pace=PACE, **options):
    state = context.scratch / f"state-{len(list(context.scratch.iterdir()))}"
    watched, crash = crashed(context, state, binary=build(version, mode), scenario=scenario, pace=pace, **options)
    line = timeline(crash)
    expect(line["kind"] == "timeline" and line["id"] == crash["id"] and line["pid"] == watched.target.pid, f"{line}")
    expect(line["complete"], f"not complete: {line['missing']}")
    times = in_order(line)
    expect(times["fatal"] == crash["time_ns"], f"fatal at {times['fatal']}, the crash object says {crash['time_ns']}")
    expect(times["let_go"] - times["fatal"] <= crash["frozen_ns"], "let go after frozen_ns")
    expect(events(line, "exit")[0]["status"] == 2, "Go's status is 2")
    # What this process read of it, and when.
    err = watched.target.err
    received = next(t for t, text in zip(err.times, err.lines) if text.startswith("fatal error: "))
    if not seen_first(line):
        expect(times["go_says"] <= received, f"Go's words were here {times['go_says'] - received} ns before they were written")
        expect(line["stderr"]["bytes"] == len(err.text()) + 1, f"{line['stderr']}, {len(err.text()) + 1} bytes came")
        expect(not [m for m in line["missing"] if "more goroutines" not in m], f"missing: {line['missing']}")
    # The hazards of the log, with the times that it has.
    told = {h["id"]: h for h in watched.mapwatch.kind("hazard") if h["count"] == 1}
    kept = {e["id"]: e for e in events(line, "hazard")}
    expect(set(told) == set(kept), f"hazards {set(kept)}, the log has {set(told)}")
    for name, event in kept.items():
        expect((event["time_ns"], event["printed_ns"]) == (told[name]["time_ns"], told[name]["printed_ns"]),
               f"times of {name}: {event}, the log says {told[name]['time_ns']}, {told[name]['printed_ns']}")
        expect(times["attached"] <= event["time_ns"] <= times["fatal"], f"{name} is not between attaching and the crash")
        same = crash["map"]["addr"] and crash["map"]["addr"] == told[name]["map"]["addr"]
        expect(event["same_map"] == (same if crash["map"]["addr"] else None), f"same_map of {name}: {event}")
    text = (pathlib.Path(crash["dossier"]) / "report.txt").read_text()
    expect("\nTimeline by the kernel's monotonic clock" in text and "exit_group(2), status 2" in text, text[:3000])
    page = (pathlib.Path(crash["dossier"]) / "report.html").read_text()
    for event in line["events"]:
        expect(event["time"] in page, f"{event} is not in report.html")
    dossier(context, state, "verify", pathlib.Path(crash["dossier"]).name)
    return watched, crash, line


for _version, _mode in ((NEWEST, "plain"), ("1.17.13", "plain"), ("1.22.12", "stripped"), (NEWEST, "pie-stripped")):
    case(f"timeline/order/{_version}-{_mode}", builds=[(_version, _mode)])(
        lambda context, v=_version, m=_mode: whole(context, v, m))


@case("timeline/many-goroutines", builds=PLAIN)
def storm(context):
    """Each goroutine that reached the fatal path is there; the process still has one first byte and one exit."""
    whole(context, NEWEST, "plain", scenario="storm", pace="0")


def started(pid):
    """When the kernel started the process: ns of CLOCK_MONOTONIC, from clock ticks since boot."""
    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    slept = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK") - slept


@case("timeline/gos-own-clock", builds=PLAIN)
def gos_clock(context):
    """In a time namespace Go's clock is another one: what it says of itself must come out between the process's start and
    attaching all the same."""
    help_text = subprocess.run(["unshare", "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    if not os.path.exists("/proc/self/ns/time") or "--monotonic" not in help_text:
        raise Skipped("no time namespaces")
    for wrap in ((), ("unshare", "--time", "--monotonic", "5000")):
        watched = Watched(context, "--state-dir", context.scratch / f"state{len(wrap)}", pace=PACE, wrap=wrap)
        if wrap and os.readlink(f"/proc/{watched.target.pid}/ns/time") == os.readlink("/proc/self/ns/time"):
            raise Skipped("a program that is exec'd stays in its time namespace")
        start = started(watched.target.pid)
        watched.target.release()
        watched.died_of_its_own()
        line = timeline(watched.one_crash())
        offset = 5_000_000_000_000 if wrap else 0
        clocks = line["clocks"]
        expect(clocks["nanotime_offset_ns"] == offset, f"offset {clocks['nanotime_offset_ns']}")
        init = at(line, "go_started")
        expect(clocks["go_init_nanotime_ns"] - offset == init, f"{clocks}, event at {init}")
        expect(start <= init <= clocks["go_zero_ns"] <= at(line, "attached"),
               f"start {start}, init {init}, m=+0 {clocks['go_zero_ns']}, attached {at(line, 'attached')}")


# The wall clock of this process alone, set when the file is there.
STEPS = """
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec* now) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, now);
  if (id == CLOCK_REALTIME && access("%s", F_OK) == 0) now->tv_sec -= 3600;
  return result;
}
"""


@case("timeline/a-wall-clock-that-was-set", builds=PLAIN)
def clock_step(context):
    mark = context.scratch / "set"
    env = dict(os.environ, LD_PRELOAD=str(preload(context, "steps", STEPS % mark)))
    target = context.own(Target(build(NEWEST), "write_write", pace=PACE))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--run-dir", context.scratch / "run", "--state-dir",
                        context.scratch / "state", env=env).attached(target.pid)
    mark.touch()
    target.release()
    target.wait(60)
    mapwatch.wait(15)
    line = timeline(mapwatch.kind("crash")[0])
    clocks = line["clocks"]
    expect(abs(clocks["step_ns"] + 3_600_000_000_000) <= clocks["uncertainty_ns"], f"an hour back: {clocks}")
    text = (pathlib.Path(mapwatch.kind("crash")[0]["dossier"]) / "report.txt").read_text()
    expect("wall clock set back by 1h00m between attaching and the crash" in text, text[:3000])


def stuck_in_write(pid):
    """A thread sits in write(2) on descriptor 2."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            if task.joinpath("syscall").read_text().split()[:2] == ["1", "0x2"]:
                return True
        except (FileNotFoundError, ProcessLookupError):
            pass
    return False


def full_pipe():
    """Its ends; the next write to it waits for a reader."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer


@case("timeline/a-process-that-hangs-while-it-dies", builds=PLAIN)
def hangs(context):
    """Nobody reads its stderr. The report comes all the same, with a dossier that says what is not known yet; the rest is
    added when the process has ended."""
    reader, writer = full_pipe()
    state = context.scratch / "state"
    watched = Watched(context, "--state-dir", state, pace=PACE, stderr=writer)
    os.close(writer)
    target = watched.target
    target.release()
    crash = wait_for("the report", lambda: watched.mapwatch.kind("crash"), 30)[0]
    wait_for("a thread in write(2)", lambda: stuck_in_write(target.pid), 10)
    expect(target.running() and watched.mapwatch.running(), "it did not hang")
    line = timeline(crash)
    expect(not line["complete"] and "had not ended when this was written" in line["missing"][-1], f"{line['missing']}")
    expect(not events(line, "exit") and not events(line, "gone"), f"an end before the end: {line['events']}")
    text = b""
    while chunk := os.read(reader, 65536):
        text += chunk
    os.close(reader)
    expect(target.wait(20) == 2 and b"fatal error: concurrent map" in text, f"{text[-300:]}")
    expect(watched.mapwatch.wait(20) == 0, "status")
    line = timeline(crash)
    expect(line["complete"], f"not complete: {line['missing']}")
    in_order(line, ["attached", "fatal", "let_go", "go_says", "gone"])
    dossier(context, state, "verify", pathlib.Path(crash["dossier"]).name)
    expect([p.name for p in (state / "dossiers").iterdir()] == [pathlib.Path(crash["dossier"]).name], "something is left")


@case("timeline/mapwatch-ends-before-the-process", builds=PLAIN)
def ends_first(context):
    """^C while the process hangs: mapwatch does not wait for it, and says so in the dossier."""
    reader, writer = full_pipe()
    watched = Watched(context, "--state-dir", context.scratch / "state", pace=PACE, stderr=writer)
    os.close(writer)
    watched.target.release()
    crash = wait_for("the report", lambda: watched.mapwatch.kind("crash"), 30)[0]
    wait_for("a thread in write(2)", lambda: stuck_in_write(watched.target.pid), 10)
    watched.mapwatch.stop()
    expect(watched.target.running(), "it did not hang")
    line = timeline(crash)
    expect(line["complete"] and any("mapwatch stopped to wait" in m for m in line["missing"]), f"{line['missing']}")
    in_order(line, ["attached", "fatal", "let_go", "go_says"])
    os.close(reader)


@case("timeline/kill-9-while-the-process-dies", builds=PLAIN)
def killed(context):
    """mapwatch is killed between the report and the end of the process: the dossier is whole, the process dies of its own."""
    reader, writer = full_pipe()
    state = context.scratch / "state"
    watched = Watched(context, "--state-dir", state, pace=PACE, stderr=writer)
    os.close(writer)
    watched.target.release()
    crash = wait_for("the report", lambda: watched.mapwatch.kind("crash"), 60)[0]
    wait_for("a thread in write(2)", lambda: stuck_in_write(watched.target.pid), 10)
    watched.mapwatch.signal(signal.SIGKILL)
    watched.mapwatch.wait()
    while os.read(reader, 65536):
        pass
    os.close(reader)
    expect(watched.target.wait(20) == 2, "the target's status")
    expect(not timeline(crash)["complete"], "complete")
    dossier(context, state, "verify", pathlib.Path(crash["dossier"]).name)


@case("timeline/stderr-closed", builds=[(NEWEST, "plain"), ("1.17.13", "plain")])
def closed(context):
    """Go of 1.17 writes to a descriptor that is not there; newer ones open /dev/null in its place."""
    for version in ("1.17.13", NEWEST):
        watched = Watched(context, "--state-dir", context.scratch / f"state-{version}", binary=build(version), pace=PACE,
                          wrap=["bash", "-c", 'exec "$@" 2>&-', "bash"])
        watched.target.release()
        expect(watched.target.wait(60) == 2, "status")
        expect(watched.mapwatch.wait(20) == 0, "status of mapwatch")
        in_order(timeline(watched.mapwatch.kind("crash")[0]))


@case("timeline/a-signal-at-the-end", builds=PLAIN)
def aborts(context):
    """GOTRACEBACK=crash: Go raises SIGABRT instead of calling exit."""
    watched = Watched(context, "--state-dir", context.scratch / "state", pace=PACE, env={"GOTRACEBACK": "crash"},
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    watched.target.release()
    expect(watched.target.wait(60) == -6, f"status {watched.target.child.returncode}")
    expect(watched.mapwatch.wait(20) == 0, "status of mapwatch")
    line = timeline(watched.mapwatch.kind("crash")[0])
    expect(not events(line, "exit"), "it called exit_group")
    expect(any("a signal ended the process" in m for m in line["missing"]), f"{line['missing']}")
    in_order(line, ["attached", "fatal", "let_go", "go_says", "gone"])


@case("timeline/under-run", builds=PLAIN)
def under_run(context):
    mapwatch = Mapwatch(context, "run", "--run-dir", context.scratch / "run", "--state-dir", context.scratch / "state",
                        *run_args("write_write", pace=PACE))
    expect(mapwatch.wait(60) == 2, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    in_order(timeline(mapwatch.kind("crash")[0]))


REFUSES_SYS_ENTER = """
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
long syscall(long number, ...) {
  va_list list;
  long args[6];
  va_start(list, number);
  for (int i = 0; i < 6; i++) args[i] = va_arg(list, long);
  va_end(list);
  if (number == __NR_bpf && args[0] == BPF_RAW_TRACEPOINT_OPEN &&
      strcmp((const char*)((const union bpf_attr*)args[1])->raw_tracepoint.name, "sys_enter") == 0) {
    errno = ENOENT;
    return -1;
  }
  long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  return real(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
"""


@case("timeline/without-the-tracepoint", builds=PLAIN)
def no_tracepoint(context):
    """A kernel without syscall tracepoints: all else is as ever."""
    env = dict(os.environ, LD_PRELOAD=str(preload(context, "no_sys_enter", REFUSES_SYS_ENTER)))
    target = context.own(Target(build(NEWEST), "write_write", pace=PACE))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--run-dir", context.scratch / "run", "--state-dir",
                        context.scratch / "state", env=env).attached(target.pid)
    target.release()
    expect(target.wait(60) == 2 and mapwatch.wait(15) == 0, "statuses")
    line = timeline(mapwatch.kind("crash")[0])
    in_order(line, ["attached", "fatal", "let_go", "gone"])
    expect(any("sys_enter" in m for m in line["missing"]), f"{line['missing']}")
    expect(line["complete"], "not complete")


def links(pid):
    """Names of the raw tracepoints that a process holds."""
    out = []
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = info.read_text()
        except FileNotFoundError:
            continue
        out += [row.split(":", 1)[1].strip() for row in text.splitlines() if row.startswith("tp_name:")]
    return out


@case("timeline/the-host-pays-only-while-a-process-dies", builds=PLAIN)
def detached(context):
    first = context.own(Target(build(NEWEST), "write_write", pace=PACE))
    other = context.own(Target(build(NEWEST), "rw3", pace="1ms"))
    mapwatch = Mapwatch(context, "watch", "-p", f"{first.pid},{other.pid}", "--run-dir", context.scratch / "run", "--state-dir",
                        context.scratch / "state").attached(first.pid, other.pid)
    expect("sched_process_exec" in links(mapwatch.pid), f"nothing to be seen this way: {links(mapwatch.pid)}")
    expect("sys_enter" not in links(mapwatch.pid), "attached before a crash")
    first.release()
    expect(first.wait(60) == 2, "status")
    crash = wait_for("the crash", lambda: mapwatch.kind("crash"), 20)[0]
    wait_for("the whole timeline", lambda: timeline(crash)["complete"], 20)
    expect("sys_enter" not in links(mapwatch.pid), "still attached")
    mapwatch.stop()
