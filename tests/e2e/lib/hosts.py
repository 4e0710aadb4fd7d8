"""Hosts and programs that lack something: no BTF, no uprobe_multi, a Go version that is newer than the table."""
import json
import os
import time

from . import check
from .bad_input import UNSUPPORTED, damaged, refused, section
from .fixtures import NEWEST, build, scenarios
from .harness import ON_MULTI_LINK, case, expect, preload
from .lifecycle import PLAIN, patched, probe_bytes, untouched
from .process import Mapwatch, Process, Target, run_to_end

# A mount namespace of its own, in which an empty file system hides the kernel's type information.
WITHOUT_BTF = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh"]

# What kernels before 6.6 answer to a uprobe_multi link.
REFUSES_UPROBE_MULTI = ON_MULTI_LINK + "static int on_multi_link(unsigned count) { return EINVAL; }"


def without_uprobe_multi(context):
    """Words in front of a command that make its kernel one before 6.6."""
    library = preload(context, "old_kernel", REFUSES_UPROBE_MULTI)
    return ["env", f"LD_PRELOAD={library}"]


def checks_of(context, *args, wrap=()):
    """doctor's checks by name, and its status."""
    status, out, err = run_to_end(context, "doctor", "-o", "json", *args, wrap=wrap)
    expect(out, f"doctor said nothing: {err[-400:]}")
    return status, {c["check"]: c for c in map(json.loads, out.splitlines())}


def watches_well(context, *flags, wrap=(), says=""):
    """A correct program is watched and let go of again."""
    target = context.own(Target(build(NEWEST), "rw3", pace="100us"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, *flags, wrap=wrap).attached(target.pid)
    expect(says in mapwatch.err.text(), f"'{says}' is not said: {mapwatch.err.text()}")
    target.release()
    time.sleep(1)
    mapwatch.stop()
    check.silent(mapwatch, hits=100)
    target.finish()


@case("host/no-btf", builds=PLAIN)
def no_btf(context):
    status, checks = checks_of(context, wrap=WITHOUT_BTF)
    expect(status == 0 and checks["btf"]["detail"].startswith("not there"), f"status {status}: {checks['btf']}")
    watches_well(context, wrap=WITHOUT_BTF)


@case("host/no-uprobe-multi", builds=PLAIN)
def no_multi(context):
    wrap = without_uprobe_multi(context)
    status, checks = checks_of(context, wrap=wrap)
    multi = checks["uprobe_multi"]
    expect(status == 0 and multi["status"] == "warn" and "6.6" in multi["remedy"], f"status {status}: {multi}")
    watches_well(context, wrap=wrap, says="perf_event, inode-wide")


@case("host/no-uprobe-multi-warns", builds=PLAIN)
def no_multi_warns(context):
    """The kinds of probe differ in the kernel's way to the program; what is told must not."""
    wrap = without_uprobe_multi(context)
    scenario = scenarios(build(NEWEST))["write_read"]
    for _ in range(6):
        target = context.own(Target(build(NEWEST), "write_read", pace="500us"))
        mapwatch = Mapwatch(context, "watch", "-p", target.pid, wrap=wrap).attached(target.pid)
        target.release()
        mapwatch.wait_hazard(20, lambda hazard: hazard["accesses"][1]["stack"])
        mapwatch.stop()
        target.close()
        if check.all_hazards(mapwatch.kind("hazard"), scenario, target.pid, NEWEST):
            return
    expect(False, "not warned of, with both sides named, in 6 runs")


@case("host/no-uprobe-multi-but-asked-for", builds=PLAIN)
def no_multi_asked(context):
    target = context.own(Target(build(NEWEST), "rw3", pace="1ms", held=False))
    wrap = without_uprobe_multi(context)
    refused(run_to_end(context, "watch", "-p", target.pid, "--attach", "multi", wrap=wrap), UNSUPPORTED,
            "uprobe_multi", "--attach auto")
    status, checks = checks_of(context, "--attach", "multi", wrap=wrap)
    expect(status == UNSUPPORTED and checks["uprobe_multi"]["status"] == "fail", f"status {status}: {checks['uprobe_multi']}")
    target.finish()


@case("doctor/names-the-siblings-that-are-patched-too", builds=PLAIN)
def siblings(context):
    """What doctor says of the other processes of a file is what an attach then does to them."""
    target, other = (context.own(Target(build(NEWEST), "rw3", pace="1ms", held=False)) for _ in range(2))
    probes = probe_bytes(context, other.pid)
    for flags, word in (((), "left unpatched"), (("--attach", "perf"), "patched too")):
        _, checks = checks_of(context, "-p", target.pid, *flags)
        said = checks["siblings"]["detail"]
        expect(word in said and str(other.pid) in said, f"doctor {flags} says of the siblings: {said}")
        mapwatch = Mapwatch(context, "watch", "-p", target.pid, *flags).attached(target.pid)
        expect(patched(target.pid, probes) == len(probes), "the target is not patched")
        there = patched(other.pid, probes)
        expect(there == (len(probes) if flags else 0), f"{there} of {len(probes)} probes stand in the sibling")
        mapwatch.stop()
        expect(untouched(other.pid, probes), "the sibling is left patched")
    target.finish()
    other.finish()


@case("attach/file-that-another-tracer-probes", builds=PLAIN)
def probed_file(context):
    """Inode-wide probes stand in private mappings of the file, too: what mapwatch reads as the file must not hold them."""
    one, two, three = (context.own(Target(build(NEWEST), "rw3", pace="1ms", held=False)) for _ in range(3))
    probes = probe_bytes(context, one.pid)
    both = Mapwatch(context, "watch", "-p", f"{one.pid},{two.pid}", "--attach", "perf").attached(one.pid, two.pid)
    expect(probe_bytes(context, three.pid) == probes, "another plan for a file that is probed")
    other = Mapwatch(context, "watch", "-p", three.pid).attached(three.pid)
    expect("has a breakpoint already" in other.err.text(), f"the other tracer is not named: {other.err.text()[-400:]}")
    other.stop()
    both.stop()
    for target in (one, two, three):
        expect(untouched(target.pid, probes), "probes are left in the text")
        target.finish()


def of_the_future(context, version, mode):
    """A program that says it was built by a Go that is not there yet."""
    name = "go" + version

    def change(data):
        offset, size = section(data, ".go.buildinfo")
        at = data.index(name.encode(), offset, offset + size)
        data[at:at + len(name)] = ("go1.99." + "1" * len(name))[:len(name)].encode()
        return data
    return damaged(context, "future", change, source=build(version, mode))


@case("unverified/is-said-everywhere", builds=PLAIN)
def unverified(context):
    binary = of_the_future(context, NEWEST, "plain")
    target = context.own(Target(binary, "write_read", pace="500us"))
    says = "unverified go1.99.1"
    _, out, _ = run_to_end(context, "ls", "-a", "-o", "json")
    listed = [p for p in map(json.loads, out.splitlines()) if p["pid"] == target.pid]
    expect(listed and listed[0]["go"] == says and listed[0]["unverified"], f"ls says {listed}")
    _, checks = checks_of(context, "-p", target.pid)
    version = checks["go_version"]
    expect(version["status"] == "warn" and says in version["detail"] and version["remedy"], f"doctor says {version}")
    # A program with DWARF has its layout from there, whatever its version.
    expect("DWARF" in checks["layout"]["detail"], f"doctor says {checks['layout']}")
    recording = context.scratch / "recording"
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--record", recording).attached(target.pid)
    expect(says in mapwatch.err.text(), f"attached without a word: {mapwatch.err.text()}")
    target.release()
    found = mapwatch.wait_hazard(20)
    mapwatch.stop()
    expect(found, "no hazard")
    expect(found["process"]["go"] == says, f"the report says {found['process']['go']}")
    _, out, _ = run_to_end(context, "replay", recording, "-o", "text")
    expect(any(line.startswith("Process:") and says in line for line in out.splitlines()), f"the text says: {out[-800:]}")


@case("unverified/layout-that-makes-no-sense", builds=[("1.23.12", "stripped")])
def wrong_layout(context):
    """Go 1.23 has its goroutine ids elsewhere than 1.22 and 1.24 on: read as the newest layout they are nonsense."""
    binary = of_the_future(context, "1.23.12", "stripped")
    for _ in range(8):
        target = context.own(Target(binary, "storm", pace="3ms"))
        mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
        target.release()
        status = mapwatch.wait(60)
        told = mapwatch.err.text()
        expect(not mapwatch.kind("hazard"), f"reported by a wrong layout: {mapwatch.kind('hazard')[:1]}")
        if status == UNSUPPORTED:
            expect(f"PID {target.pid} is not watched any more" in told and "DWARF" in told, f"said: {told[-600:]}")
            mapwatch.summary()
            return
        expect(status == 0 and not target.running(), f"status {status}: {told[-400:]}")
        target.close()  # Go's own crash came first
    expect(False, "no overlap was seen in 8 runs")


@case("bad/processes-that-come-and-go", builds=PLAIN)
def come_and_go(context):
    """Selectors meet processes that end between the look at /proc and the attach: those are passed over."""
    binary = build(NEWEST)
    script = f"while :; do {binary} -for 10ms rw3; done"
    spawners = [context.own(Process(["sh", "-c", script])) for _ in range(3)]
    for _ in range(12):
        status, _, err = run_to_end(context, "watch", "-x", str(binary), "-d", "200ms")
        # None there at that instant: 1; all of them gone before they could be attached to: 3.
        expect(status in (0, 1, 3), f"status {status}: {err[-400:]}")
    for spawner in spawners:
        expect(spawner.running(), "the shell that starts them died")


# The first look at a site that a probe stands on finds no breakpoint there.
SEES_NO_BREAKPOINT = """
#include <sys/types.h>
ssize_t pread(int fd, void* to, size_t size, off_t offset) {
  static int told;
  ssize_t (*real)(int, void*, size_t, off_t) = (ssize_t (*)(int, void*, size_t, off_t))dlsym(RTLD_NEXT, "pread");
  ssize_t got = real(fd, to, size, offset);
  if (size == 1 && got == 1 && *(unsigned char*)to == 0xcc && !told++) *(unsigned char*)to = 0x55;
  return got;
}
ssize_t pread64(int fd, void* to, size_t size, off_t offset) { return pread(fd, to, size, offset); }
"""


@case("attach/site-without-its-breakpoint-is-named", builds=PLAIN)
def silent_site(context):
    target = context.own(Target(build(NEWEST), "rw3", pace="1ms", held=False))
    env = dict(os.environ, LD_PRELOAD=str(preload(context, "no_breakpoint", SEES_NO_BREAKPOINT)))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, env=env).attached(target.pid)
    told = [line for line in mapwatch.err.text().splitlines() if "does not stand in the process" in line]
    expect(len(told) == 1 and "that function is not watched" in told[0], f"said: {mapwatch.err.text()}")
    mapwatch.stop()
    target.finish()
