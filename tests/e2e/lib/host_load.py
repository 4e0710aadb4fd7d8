"""watch -a under load: many processes of many files, more than there are numbers for, files in overlay mounts, storms of
tools that end at once; and what is said while /proc is looked through. --full has the sizes of the issue."""
import os
import pty
import signal
import subprocess
import time

from . import check
from .fixtures import NEWEST, build
from .harness import Skipped, case, expect, preload, wait_for
from .lifecycle import PLAIN, patched, probe_bytes, untouched
from .process import Process, Target
from .whole_host import copy_of, count, only_below, sums, watch

OLD = "1.22.12"
MOST_RSS = 60_000_000
MOST_LAYOUTS = 256  # MW_MAX_LAYOUTS


def file_of_its_own(context, number, version=NEWEST, mode="plain"):
    """A copy whose contents nobody else has: neither the inode nor the parsed program is shared."""
    path = copy_of(context, f"file{number}", version, mode)
    with open(path, "ab") as file:
        file.write(f"number {number}".encode())
    return path


def start(context, path, *args):
    child = subprocess.Popen([path, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context.stack.callback(child.wait)
    context.stack.callback(child.kill)
    return child


def many(context, sample):
    files, processes = (40, 200) if context.full else (8, 24)
    kinds = [(NEWEST, "plain"), (OLD, "stripped")]
    paths = [file_of_its_own(context, n, *kinds[n % len(kinds)]) for n in range(files)]
    children = [start(context, paths[n % files], "-pace", "200ms", "rw3") for n in range(processes)]
    wait_for("the programs", lambda: all(os.readlink(f"/proc/{c.pid}/exe").startswith(str(context.scratch)) for c in children), 30)
    mapwatch = watch(context, "-a", *only_below(context.scratch), "--sample", sample)
    probes = probe_bytes(context, children[0].pid)
    count(paths[0], 1000)
    summary = mapwatch.stop()
    watched, brief, refused, _ = sums(mapwatch)
    expect(watched + brief == processes + 1 and refused == 0, f"of {processes} and one more: {watched}, {brief}, {refused}")
    # Under auto a trial may end before it is known what it cost, and what comes then is not seen.
    expect(summary["hits"] >= (1000 if sample == "full" else 1) and summary["lost"] == 0, f"{summary['hits']} hits, {summary['lost']} lost")
    expect(summary["own_rss_bytes"] <= MOST_RSS, f"{summary['own_rss_bytes']} bytes of its own")
    expect(not mapwatch.kind("hazard"), f"a correct program is accused: {mapwatch.kind('hazard')[:1]}")
    said = [line for line in mapwatch.err.text().splitlines() if "does not stand in the process" in line]
    expect(not said, f"{len(said)} probes are said to be missing: {said[:2]}")
    expect(untouched(children[0].pid, probes), "probes are left in the text")
    for child in children:
        expect(child.poll() is None, f"a process ended with {child.poll()}")


@case("all/many-processes-of-many-files-auto", builds=PLAIN + [(OLD, "stripped")])
def many_auto(context):
    many(context, "auto")


@case("all/many-processes-of-many-files-full", builds=PLAIN + [(OLD, "stripped")])
def many_full(context):
    many(context, "full")


@case("all/more-files-than-there-are-numbers-for", quick=False, builds=PLAIN)
def too_many(context):
    """What is not watched, or by its functions only, is told, and those that were there first are watched on."""
    beyond = 4
    children = [start(context, file_of_its_own(context, n), "-pace", "100ms", "rw3") for n in range(MOST_LAYOUTS + beyond)]
    wait_for("the programs", lambda: all(os.readlink(f"/proc/{c.pid}/exe").startswith(str(context.scratch)) for c in children), 60)
    mapwatch = watch(context)
    expect(mapwatch.err.wait(rf"{MOST_LAYOUTS} binaries and \d+ sites are the most at once", 30), "nothing is said of files that are too many")
    expect(mapwatch.err.wait(r"\d+ call sites more are not to be had", 120), "nothing is said of call sites that are too many")
    mapwatch.stop()
    watched, _, refused, _ = sums(mapwatch)
    expect((watched, refused) == (MOST_LAYOUTS, beyond), f"{watched} watched, {refused} refused")
    expect("were watched by their map functions" in mapwatch.err.text(), f"not in the sums: {mapwatch.err.text()[-400:]}")
    for child in children:
        expect(child.poll() is None, f"a process ended with {child.poll()}")


@case("all/one-file-in-two-overlay-mounts", builds=PLAIN)
def overlays(context):
    """As containers of one image have it: two mounts, one file below. Each operation is counted once."""
    ops = 2000
    lower = context.scratch / "lower"
    lower.mkdir()
    copy_of(context, "prog", folder=lower)
    targets = []
    for name in ("one", "two"):
        place = context.scratch / name
        for folder in (place, place / "upper", place / "work", place / "root"):
            folder.mkdir()
        mount = f"mount -t overlay overlay -o lowerdir={lower},upperdir={place}/upper,workdir={place}/work {place}/root"
        if subprocess.run(["unshare", "--mount", "sh", "-c", mount], stderr=subprocess.DEVNULL).returncode != 0:
            raise Skipped("no overlay can be mounted here")
        wrap = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
        targets.append(context.own(Target(place / "root" / "prog", "count", str(ops), wrap=wrap)))
    mapwatch = watch(context)
    mapwatch.attached(*(target.pid for target in targets))
    for target in targets:
        target.release()
        expect(target.wait() == 0, f"the target ended with {target.child.returncode}")
    summary = mapwatch.stop()
    expect(2 * ops <= summary["hits"] < 3 * ops, f"{summary['hits']} hits of {2 * ops} operations")
    expect(sums(mapwatch)[0] == 2 and summary["lost"] == 0, f"{sums(mapwatch)}, {summary}")


@case("select/by-path-those-there-and-those-to-come", builds=PLAIN)
def by_path(context):
    """-x takes what its glob names, --exclude out of that; others of the host are not patched."""
    names = ("svc-a", "svc-b", "svc-b-canary", "other")
    paths = {name: copy_of(context, name) for name in names}
    before = {name: context.own(Target(paths[name], "rw3", pace="1ms", held=False)) for name in names}
    mapwatch = watch(context, "-x", f"{context.scratch}/svc-*", "--exclude", "*-canary")
    after = {name: context.own(Target(paths[name], "rw3", pace="1ms", held=False)) for name in names}
    mapwatch.attached(*(group[name].pid for group in (before, after) for name in ("svc-a", "svc-b")))
    probes = probe_bytes(context, before["other"].pid)
    for group in (before, after):
        for name in ("svc-b-canary", "other"):
            expect(patched(group[name].pid, probes) == 0, f"{name} is patched")
    mapwatch.stop()
    expect(sums(mapwatch)[:3] == (4, 0, 0), f"sums: {sums(mapwatch)}")
    check.silent(mapwatch, hits=10)
    for group in (before, after):
        for target in group.values():
            target.finish()


# A host on which each look at a process takes a while.
SLOW_PROC = """
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
static void slow(const char* path) {
  size_t n = strlen(path);
  if (strncmp(path, "/proc/", 6) == 0 && n > 5 && strcmp(path + n - 5, "/stat") == 0) {
    struct timespec nap = {0, 10000000};
    nanosleep(&nap, 0);
  }
}
#define OPEN(name) int name(const char* path, int flags, ...) { \\
  int mode; va_list list; va_start(list, flags); mode = va_arg(list, int); va_end(list); slow(path); \\
  return ((int (*)(const char*, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode); }
OPEN(open)
OPEN(open64)
"""


@case("ls/says-how-far-it-is-on-a-terminal-only", builds=PLAIN)
def progress(context):
    env = dict(os.environ, LD_PRELOAD=str(preload(context, "slow_proc", SLOW_PROC)))
    fewest = 80  # of 10 ms each: longer than the time before anything is said
    for _ in range(fewest):
        start(context, "/bin/sleep", "60")
    target = context.own(Target(build(NEWEST), "rw3", pace="1ms", held=False))
    for terminal, flags, wanted in ((True, [], True), (True, ["-q"], False), (False, [], False)):
        ours, theirs = pty.openpty()
        listing = Process([context.mapwatch, "ls", "-a", *flags], env=env, **({"stderr": theirs} if terminal else {}))
        os.close(theirs)
        context.own(listing)
        shown = b""
        while terminal:
            try:
                more = os.read(ours, 4096)
            except OSError:  # EIO: the other end is closed
                break
            shown += more
        os.close(ours)
        expect(listing.wait(30) == 0, f"ls ended with {listing.child.returncode}")
        text = shown.decode(errors="replace") if terminal else listing.err.text()
        expect(("processes looked at" in text) == wanted, f"terminal {terminal}, {flags}: {text[-300:]!r}")
        expect(not wanted or text.rstrip("\n").split("\x1b[K")[-1] == "" or "could not be read" in text, f"the line stays: {text[-100:]!r}")
        out = listing.out.text()
        expect("looked at" not in out and str(target.pid) in out, f"stdout: {out[-300:]}")
    target.finish()


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@case("all/storm-of-short-lived-tools", builds=PLAIN)
def storm(context):
    """Four shells start a tool again and again: each of its operations is counted, and no run costs an attach."""
    rounds, each, shells = 1500 if context.full else 40, 50, 4
    binary = copy_of(context, "tool")
    mapwatch = watch(context)
    first = context.own(Target(binary, "rw3", pace="1ms", held=False))
    mapwatch.attached(first.pid)
    first.finish()  # from here on the file is armed, for some seconds
    wait_for("the end of what was watched", lambda: f"PID {first.pid} is gone" in mapwatch.err.text(), 10)
    before = descriptors(mapwatch.pid)
    script = f"i=0; while [ $i -lt {rounds} ]; do {binary} -pace 0 count {each} || exit 1; i=$((i+1)); done"
    running = [context.own(Process(["sh", "-c", script])) for _ in range(shells)]
    for shell in running:
        expect(shell.wait(300) == 0, f"a tool failed: {shell.err.text()[-400:]}")
    wait_for("the end of what was watched", lambda: descriptors(mapwatch.pid) <= before, 10)
    mapwatch.stop()
    check.silent(mapwatch, hits=rounds * each * shells)
    attached, brief, refused, _ = sums(mapwatch)
    expect(attached + brief == rounds * shells + 1 and refused == 0,
           f"{attached} attached, {brief} brief, {refused} refused of {rounds * shells}: "
           f"{[l for l in mapwatch.err.text().splitlines() if 'is not watched' in l][:3]}")


# A host on which mapwatch is slow between two looks at one process.
SLOW_LINK = """
#include <string.h>
#include <time.h>
#include <sys/types.h>
ssize_t readlink(const char* path, char* out, size_t size) {
  size_t n = strlen(path);
  if (strncmp(path, "/proc/", 6) == 0 && path[6] != 's' && n > 4 && strcmp(path + n - 4, "/exe") == 0) {
    struct timespec nap = {0, 50000000};
    nanosleep(&nap, 0);
  }
  return ((ssize_t (*)(const char*, char*, size_t))dlsym(RTLD_NEXT, "readlink"))(path, out, size);
}
"""


@case("all/tools-that-end-while-they-are-looked-at-are-counted-once", builds=PLAIN)
def ends_meanwhile(context):
    """Each started tool is watched, or watched by its marks alone; none is also among those that nobody saw."""
    runs = 6
    binary = copy_of(context, "tool")
    holder = context.own(Target(binary, "rw3"))
    env = dict(os.environ, LD_PRELOAD=str(preload(context, "slow_link", SLOW_LINK)))
    mapwatch = watch(context, env=env)
    mapwatch.attached(holder.pid)
    children = []
    for _ in range(runs):
        child = subprocess.Popen([binary, "-for", "20ms", "-pace", "1ms", "rw3"], stdout=subprocess.DEVNULL)
        children.append(child)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie: there, and with nothing to be read
        time.sleep(0.15)  # the look at it is over
    mapwatch.stop()
    expect(all(child.wait() == 0 for child in children), f"tools ended with {[c.returncode for c in children]}")
    watched, brief, refused, _ = sums(mapwatch)
    expect((watched + brief, refused) == (runs + 1, 0), f"of {runs} and one more: {watched} watched, {brief} brief, {refused} refused")


@case("all/ring-too-small-for-a-storm", builds=PLAIN)
def lost_execs(context):
    """Starts that were not told of are found in /proc, and the loss is said."""
    binary = copy_of(context, "one")
    mapwatch = watch(context, "-a", *only_below(context.scratch), "--ring-size", "4096")
    mapwatch.signal(signal.SIGSTOP)
    for _ in range(120):  # 40 bytes an event
        subprocess.run(["/bin/true"], check=True)
    targets = [context.own(Target(binary, "rw3", pace="1ms", held=False)) for _ in range(3)]
    mapwatch.signal(signal.SIGCONT)
    mapwatch.attached(*(t.pid for t in targets))
    mapwatch.stop()
    expect("looking through /proc" in mapwatch.err.text(), f"the loss is not said: {mapwatch.err.text()[-600:]}")
    lost = mapwatch.kind("lost")
    expect(lost and lost[0]["stage"] == "ring" and lost[0]["count"] > 0, f"lost objects: {lost}")
    for target in targets:
        target.finish()
