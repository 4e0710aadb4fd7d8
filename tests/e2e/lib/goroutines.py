"""Goroutines as forensics reads them from a live process, against what Go itself prints of the same process."""
import os
import pathlib
import re
import resource
import signal
import subprocess

from . import fixtures
from .harness import Skipped, case, expect, wait_for
from .process import Process

GDUMP = fixtures.ROOT / "build/tests/gdump"
MODES = ("plain", "stripped", "pie", "pie-stripped", "cgo", "noopt")
QUICK_VERSIONS = {"1.17.13", "1.20.14", "1.23.12", fixtures.NEWEST}
ARGUMENTS = re.compile(r"\([^()]*\)$")
PLACE = re.compile(r"\t(.*):(\d+)(?: \+(0x[0-9a-f]+))?(?: fp=(0x[0-9a-f]+) sp=0x[0-9a-f]+ pc=(0x[0-9a-f]+))?$")
HEADER = re.compile(r"goroutine (\d+)(?: gp=\S+ m=\S+(?: mp=\S+)?)? \[(.*)\](?: \{.*\})?:$")
UNAVAILABLE = "goroutine running on other thread; stack unavailable"


def parse(text):
    """id -> (state, [(function, file, line, offset)], [pc]); the first stack of an id counts."""
    found = {}
    state, frames, pcs, name, number = None, [], [], None, 0
    for line in text.splitlines() + [""]:
        header = HEADER.match(line)
        place = PLACE.match(line)
        if header:
            number, state, frames, pcs, name = int(header[1]), header[2], [], [], None
        elif place and state is not None and name:
            frames.append((name, place[1], int(place[2]), place[3]))
            pcs.append(place[5])
            name = None
        elif line == "" and state is not None:
            if number not in found or (not found[number][1] and frames):
                found[number] = (state, frames, pcs)
            state = None
        elif line.startswith("..."):
            frames.append((line, "", 0, None))
            pcs.append(None)
        elif line and state is not None:
            name = line if line.startswith("created by ") else ARGUMENTS.sub("", line)
    return found


def gdump(pid, *flags, seconds=60):
    expect(os.access(GDUMP, os.X_OK), f"{GDUMP} is not there; run `make {GDUMP.relative_to(fixtures.ROOT)}` first")
    done = subprocess.run([GDUMP, *flags, str(pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=seconds)
    expect(done.returncode == 0, f"gdump ended with {done.returncode}: {done.stderr[-600:]}")
    return done.stdout, done.stderr


class Park(Process):
    """The fixture `park`, with all of its goroutines in place."""

    def __init__(self, context, binary, *flags, core=0):
        env = dict(os.environ, GOTRACEBACK="crash", GOMAXPROCS="4")
        super().__init__([binary, *flags], env=env, cwd=context.scratch,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (core, core)))
        context.own(self)
        expect(self.out.wait("^ready$", 60), f"park did not start: {self.err.text()[-600:]}")
        # Its main goroutine says "ready" and then parks.
        wait_for("park's main goroutine to park",
                 lambda: parse(gdump(self.pid)[0]).get(1, ("",))[0] == "chan receive", 10)

    def own_words(self):
        """What runtime.Stack says: the frames that Go shows by default."""
        self.child.stdin.write("?")
        self.child.stdin.flush()
        expect(self.err.wait("^told$", 20), f"park told nothing: {self.err.text()[-600:]}")
        return self.err.text()

    def last_words(self):
        """What Go prints at SIGQUIT: every frame, those of the runtime too, and their addresses."""
        before = len(self.err.text())
        self.signal(signal.SIGQUIT)
        self.wait(60)
        return self.err.text()[before:]


def running(stacks, function):
    """Ids of goroutines that are in that function."""
    return {number for number, stack in stacks.items() if any(frame[0] == function for frame in stack[1])}


def differences(ours, theirs, ids):
    for number in sorted(ids):
        (state, frames, pcs), (gos_state, gos_frames, gos_pcs) = ours[number], theirs[number]
        gos_state = gos_state.replace(" (scan)", "")  # the collector looked at its stack just then
        if state != gos_state:
            yield f"goroutine {number}: [{state}], Go says [{gos_state}]"
        elif frames != gos_frames:
            at = next((i for i, (a, b) in enumerate(zip(frames, gos_frames)) if a != b),
                      min(len(frames), len(gos_frames)))
            yield (f"goroutine {number} [{state}], frame {at} of {len(frames)}, Go has {len(gos_frames)}: "
                   f"{frames[at:at + 2]}, Go says {gos_frames[at:at + 2]}")


def compare(ours, theirs, least):
    """Each goroutine that stood still is told of alike, and those that worked are in the same outer frames."""
    theirs.pop(0, None)  # the system stack of the thread that took the signal
    expect(set(ours) == set(theirs), f"ours only: {set(ours) - set(theirs)}, Go's only: {set(theirs) - set(ours)}")
    spinning, telling = running(ours, "main.spinOuter"), running(ours, "main.tells")
    expect(len(spinning) == 1 and len(telling) == 1, f"{spinning} spin, {telling} wait to be asked")
    # The runtime's own goroutines may have moved meanwhile; they are to be listed alike, no more.
    still = {n for n in ours if any("main." in frame[0] for frame in ours[n][1])} - spinning - telling
    expect(len(still) >= least, f"only {len(still)} goroutines to compare")
    wrong = list(differences(ours, theirs, still))
    expect(not wrong, f"{len(wrong)} of {len(still)} goroutines differ: " + "; ".join(wrong[:4]))
    names = [frame[0] for frame in ours[spinning.pop()][1]]
    return names[names.index("main.spinOuter"):]


def same_as_go(context, binary):
    target = Park(context, binary)
    plain, system = parse(gdump(target.pid)[0]), parse(gdump(target.pid, "--system")[0])
    expect(target.running(), "the process did not live through being read")
    told = parse(target.own_words())
    outer = compare(plain, told, 27)
    gos = [frame[0] for frame in next(told[n] for n in running(told, "main.spinOuter"))[1]]
    expect(outer == gos[gos.index("main.spinOuter"):], f"the running goroutine: {outer}, Go says {gos}")
    expect(len(outer) == 2, f"the running goroutine: {outer}")
    outer = compare(system, parse(target.last_words()), 27)
    expect(len(outer) == 3 and outer[1] == "runtime.goexit", f"the running goroutine: {outer}")


def register():
    for version in fixtures.VERSIONS:
        for mode in MODES:
            def run(context, version=version, mode=mode):
                binary = fixtures.build(version, mode, "park")
                same_as_go(context, binary)
            quick = mode == "pie-stripped" or (version in QUICK_VERSIONS and mode not in ("pie", "noopt"))
            case(f"forensics/{version}/{mode}", quick=quick, builds=[(version, mode, "park")])(run)


register()


@case("forensics/busy", builds=[(fixtures.NEWEST, "stripped", "park")])
def busy(context):
    """A process that never stands still is read again and again: it lives, and what is read of it makes sense."""
    target = Park(context, fixtures.build(fixtures.NEWEST, "stripped", "park"), "-busy")
    seen, doubtful = set(), 0
    for _ in range(100):
        text, _ = gdump(target.pid)
        expect(target.running(), f"the process died of being read: {target.err.text()[-400:]}")
        stacks = parse(text)
        expect(len(stacks) >= 32, f"{len(stacks)} goroutines only")
        doubtful += text.count("(its stack leads nowhere")
        for state, frames, _ in stacks.values():
            seen.update(frame[0] for frame in frames if frame[0].startswith("main.busy"))
    wanted = {"main.busyMemory", "main.busyTalk", "main.busyTime", "main.busyCall"}
    expect(wanted <= seen, f"never seen: {wanted - seen}")
    # Between two stacks, in code that switches them, there are a few instructions where nobody can tell.
    expect(doubtful <= 5, f"{doubtful} stacks of 500 lead nowhere")


@case("forensics/grouped-and-table", builds=[(fixtures.NEWEST, "stripped", "park")])
def grouped(context):
    target = Park(context, fixtures.build(fixtures.NEWEST, "stripped", "park"), "-n", "1000")
    text, _ = gdump(target.pid, "--groups")
    first = text.splitlines()[0]
    expect(re.match(r"1000 goroutines in chan receive: \d+, ", first), f"the largest group is '{first}'")
    expect(text.count("main.receive(...)") < 12, "equal stacks were not put together")
    table, _ = gdump(target.pid, "--table")
    status = re.findall(r"^ +\d+  (idle|running|syscall|gcstop) +(\d+|-) +(\d+|-)", table, re.M)
    expect(len(status) == 4, f"GOMAXPROCS is 4, the table has {len(status)} Ps:\n{table}")
    expect(any(s[0] == "running" and s[2] != "-" for s in status), f"no P runs the spinning goroutine:\n{table}")
    expect("main.spin" in table, f"no thread stands in main.spin*:\n{table}")
    expect("garbage collector: off" in table, f"the collector's phase:\n{table}")
    threads = {int(t) for t in re.findall(r"^ +\d+ +(\d+) ", table.split("thread")[-1], re.M)}
    expect(threads <= {int(t) for t in os.listdir(f"/proc/{target.pid}/task")}, f"threads that are none: {threads}")


@case("forensics/core", builds=[(fixtures.NEWEST, "pie-stripped", "park"), ("1.21.13", "cgo", "park")])
def core(context):
    """The kernel's own core file, read beside the program's file, tells what the living process told."""
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if not re.fullmatch(r"[\w.-]+", pattern):
        raise Skipped(f"core files go elsewhere on this machine ({pattern})")
    for version, mode in ((fixtures.NEWEST, "pie-stripped"), ("1.21.13", "cgo")):
        binary = fixtures.build(version, mode, "park")
        target = Park(context, binary, core=resource.RLIM_INFINITY)
        living = parse(gdump(target.pid)[0])
        target.last_words()
        dumped = list(context.scratch.glob(pattern + "*"))
        expect(len(dumped) == 1, f"the kernel wrote {len(dumped)} core files")
        done = subprocess.run([GDUMP, "--core", dumped[0], "--exe", binary], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        expect(done.returncode == 0, f"gdump --core ended with {done.returncode}: {done.stderr[-600:]}")
        of_core = parse(done.stdout)
        still = set(living) - running(living, "main.spinOuter") - running(living, "main.tells")
        expect(len(still) >= 29 and still <= set(of_core), f"missing in the core: {still - set(of_core)}")
        wrong = list(differences(of_core, living, still))
        expect(not wrong, f"{len(wrong)} of {len(still)} goroutines differ: " + "; ".join(wrong[:4]))
        spinning = running(of_core, "main.spinOuter")
        expect(len(spinning) == 1, f"goroutines {spinning} run main.spinOuter in the core")
        dumped[0].unlink()
