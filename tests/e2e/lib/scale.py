"""Very many goroutines, threads and entries, a large heap, and processes that die, exec and fork while they are read."""
import json
import os
import pathlib
import random
import re
import resource
import signal
import time

from .fixtures import NEWEST, build
from .freeze import PLAIN, Watched, state
from .goroutines import parse
from .harness import case, expect, wait_for
from .phases import rounds, standing
from .process import Mapwatch, Target, run_to_end

LONG = ["--max-freeze", "60s"]
MIB = 1 << 20


def within(bytes_, seconds=120):
    """For preexec_fn: more address space or CPU time than that and mapwatch is dead, which fails the case."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    return limit


def held(context, *extra, mode="plain", **options):
    """The fixture before its first map operation, with what `extra` asks for."""
    return context.own(Target(build(NEWEST, mode), "solo", seconds=0.1, start=120, extra=[str(e) for e in extra],
                              **options))


def dump(context, target, *flags, limit=512 * MIB):
    status, out, err = run_to_end(context, "dump", "-p", target.pid, *LONG, *flags, seconds=120, preexec_fn=within(limit))
    expect(status == 0, f"dump ended with {status}: {err[-600:]}")
    expect("\nTracerPid:\t0\n" in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "still traced")
    expect(state(target.pid) not in (None, "T", "t", "Z"), f"the target is {state(target.pid)}")
    return out


def listed(text):
    objects = [json.loads(line) for line in text.splitlines()]
    expect(objects[0]["kind"] == "dump" and not objects[0]["partial"], f"{objects[0]}")
    return objects[0], objects[1:]


def functions(goroutine):
    return [frame["func"] for frame in goroutine["stack"]]


def finish(target):
    """The process does its work as if nobody had read it."""
    target.release()
    status = target.wait(60)
    expect(status == 0 and json.loads(target.out.lines[-1])["ops"] > 0, f"it ended with {status}: {target.err.text()[-400:]}")


def dumped(context, n):
    """All are there, whole, and a page of text tells of them however many there are."""
    target = held(context, "-crowd", n)
    # Bytes that one of these goroutines takes in mapwatch: g, the used part of its stack, its decoded frames.
    limit = 256 * MIB + n * 24 * 1024
    text = dump(context, target, limit=limit)
    groups = [int(count) for count in re.findall(r"^(\d+) goroutines? in ", text, re.M)]
    expect(sum(groups) == n + 1, f"{sum(groups)} goroutines in groups, not {n + 1}")
    if n:
        expect(groups[0] == n and len(text) < 32768, f"the largest group has {groups[0]} goroutines, the text {len(text)} bytes")
    first, goroutines = listed(dump(context, target, "-o", "json", limit=limit))
    crowd = [g for g in goroutines if "main.crowdInner" in functions(g)]
    expect(len(crowd) == n and first["goroutines"] == len(goroutines), f"{len(crowd)} of {n} goroutines, {first}")
    wrong = [g for g in crowd if functions(g)[-4:-1] != ["main.crowdMiddle", "main.crowdOuter", "main.gather.gowrap1"] or g["doubt"]]
    expect(not wrong, f"{len(wrong)} of {n} stacks are not whole, the first: {wrong[:1]}")
    finish(target)


def crashed(context, *extra, mode="plain", flags=(), **options):
    """A crash of a process that holds what `extra` asks for: (Watched, crash object, folder of the dossier)."""
    watched = Watched(context, *LONG, "--state-dir", context.scratch / "state", *flags, binary=build(NEWEST, mode),
                      pace="0", start=120, extra=[str(e) for e in extra], **options)
    watched.target.release()
    watched.died_of_its_own()
    crash = watched.one_crash()
    expect(crash["frozen_ns"] > 0 and crash["dossier"], f"{crash['dossier']}: {watched.mapwatch.err.text()[-400:]}")
    return watched, crash, pathlib.Path(crash["dossier"])


def whole(folder):
    missing = re.findall("^Not complete: .*", (folder / "report.txt").read_text(), re.M)
    expect(not missing, f"{missing}")


def crash_with_crowd(context, n):
    _, crash, folder = crashed(context, "-crowd", n)
    whole(folder)
    ours = parse((folder / "goroutines.txt").read_text())
    crowd = sum(any(frame[0] == "main.crowdInner" for frame in stack[1]) for stack in ours.values())
    expect(crowd == n, f"{crowd} of {n} goroutines in the dossier")
    expect(crash["goid"] in ours, "the crashing goroutine is not there")


for _n in (0, 1000, 10_000, 100_000, 1_000_000):
    case(f"scale/goroutines/{_n or 'one'}", quick=_n <= 10_000, builds=PLAIN)(lambda context, n=_n: dumped(context, n))
for _n in (10_000, 100_000):
    case(f"scale/crash-among-goroutines/{_n}", quick=_n <= 10_000, builds=PLAIN)(lambda context, n=_n: crash_with_crowd(context, n))


@case("scale/heap-of-1-GiB", builds=PLAIN)
def heap(context):
    """Goroutines are found through the runtime's lists, not by a look at all of the memory."""
    target = held(context, "-heap", "1024", "-crowd", "100")
    _, goroutines = listed(dump(context, target, "-o", "json", limit=384 * MIB))
    expect(sum("main.crowdInner" in functions(g) for g in goroutines) == 100, f"{len(goroutines)} goroutines")
    target.close()
    _, _, folder = crashed(context, "-heap", "1024", mapwatch_limit=within(1024 * MIB))
    whole(folder)


def big_map(context, entries):
    _, crash, folder = crashed(context, "-entries", entries)
    whole(folder)
    picture = json.loads((folder / "maps.json").read_text())
    found = picture["entries_found"]
    expect(picture["address"] == crash["map"]["addr"] and found >= entries, f"{found} entries of {picture['address']}")


for _n in (100_000, 10_000_000):
    case(f"scale/crash-on-a-map-of/{_n}", quick=_n <= 100_000, builds=PLAIN)(lambda context, n=_n: big_map(context, n))


@case("scale/threads/200", builds=PLAIN)
def threads(context):
    """Each in a system call of its own; at a crash the registers of all are there."""
    target = held(context, "-threads", "200")
    _, goroutines = listed(dump(context, target, "-o", "json"))
    calls = [g for g in goroutines if "main.inSyscall" in functions(g)]
    expect(len(calls) == 200 and all(g["state"] == "syscall" for g in calls),
           f"{len(calls)} goroutines in {sorted({g['state'] for g in calls})}")
    tids = {g["tid"] for g in calls}
    expect(len(tids) == 200 and tids <= {int(t) for t in os.listdir(f"/proc/{target.pid}/task")}, f"{len(tids)} threads")
    target.close()
    _, _, folder = crashed(context, "-threads", "200")
    whole(folder)
    registers = json.loads((folder / "registers.json").read_text())["threads"]
    expect(len(registers) >= 200, f"registers of {len(registers)} threads")


@case("scale/threads/of-c", builds=[(NEWEST, "cgo")])
def foreign(context):
    """Threads that C started: those that call Go have a goroutine, the others are held and let go like any."""
    target = held(context, "-foreign", "20", mode="cgo")
    _, goroutines = listed(dump(context, target, "-o", "json"))
    calls = [g for g in goroutines if "main.calledByForeign" in functions(g)]
    expect(len(calls) == 10 and all(g["locked_to_thread"] for g in calls), f"{len(calls)} goroutines were called by C")
    target.close()
    _, _, folder = crashed(context, "-foreign", "20", mode="cgo")
    whole(folder)
    registers = json.loads((folder / "registers.json").read_text())["threads"]
    expect(len(registers) >= 20, f"registers of {len(registers)} threads")


def tried(dumper):
    """Any end but a signal's; what it says is then its own affair."""
    status = dumper.wait(30)
    expect(0 <= status <= 3, f"dump ended with {status}: {dumper.err.text()[-400:]}")
    return status


def pause(dice, most):
    """The instant itself is what is random here: there is no event to wait for."""
    time.sleep(dice.random() * most)


def start_dump(context, target):
    return Mapwatch(context, "dump", "-p", target.pid, *LONG, output=False, preexec_fn=within(512 * MIB))


@case("scale/dies-while-it-is-read", builds=PLAIN)
def dies(context):
    def one(dice):
        target = held(context, "-crowd", "5000", "-threads", "20")
        dumper = start_dump(context, target)
        pause(dice, 0.15)
        target.signal(signal.SIGKILL)
        expect(target.wait() == -signal.SIGKILL, f"the target ended with {target.child.returncode}")
        tried(dumper)
        target.close()
    rounds(context, one, 6)


@case("scale/dies-while-it-is-frozen", builds=PLAIN)
def dies_frozen(context):
    """The rest of what a crash is about to tell is gone; what mapwatch has it tells."""
    def one(dice):
        watched = standing(context, "copying", dice)
        watched.target.signal(signal.SIGKILL)
        expect(watched.target.wait() == -signal.SIGKILL, f"the target ended with {watched.target.child.returncode}")
        watched.mapwatch.signal(signal.SIGCONT)
        expect(watched.mapwatch.wait(20) == 0, f"status {watched.mapwatch.child.returncode}: {watched.mapwatch.err.text()[-400:]}")
        expect(len(watched.mapwatch.kind("crash")) == 1, "the crash was not told")
        watched.nothing_left()
        watched.target.close()
    rounds(context, one, 3)


@case("scale/execs-while-it-is-read", builds=PLAIN)
def execs(context):
    """The threads of the old program end under mapwatch's hands, and must not keep the exec waiting."""
    def one(dice):
        target = held(context, "-crowd", "5000", "-threads", "20")
        for _ in range(4):
            before = len(target.out.lines)
            dumper = start_dump(context, target)
            pause(dice, 0.1)
            target.child.stdin.write("exec\n")
            target.child.stdin.flush()
            tried(dumper)
            wait_for("the new program", lambda n=before: "ready" in target.out.lines[n:], 20)
        dump(context, target)
        finish(target)
        target.close()
    rounds(context, one, 2)


@case("scale/forks-while-it-is-read", builds=PLAIN)
def forks(context):
    target = held(context, "-forks", "-crowd", "1000")

    def arrived():
        return int(pathlib.Path(f"/proc/{target.pid}/stat").read_text().rpartition(")")[2].split()[8])  # cminflt: of ended children

    before = arrived()
    for _ in range(200 if context.full else 20):
        _, goroutines = listed(dump(context, target, "-o", "json"))
        expect(sum("main.crowdInner" in functions(g) for g in goroutines) == 1000, f"{len(goroutines)} goroutines")
    wait_for("more children to end", lambda: arrived() > before, 10)
    expect(target.running(), f"it cannot start processes any more: {target.err.text()[-400:]}")
