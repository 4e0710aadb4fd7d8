"""watch -a: processes that are there, that come, and that change under mapwatch's eyes.

No process of somebody else is touched: each case watches copies of the fixture in its own folder, and -a is narrowed to
that folder by --exclude."""
import os
import re
import shutil
import signal
import subprocess
import time

from . import check
from .fixtures import NEWEST, build
from .harness import Skipped, case, expect, wait_for
from .lifecycle import PLAIN, patched, probe_bytes, untouched
from .process import Mapwatch, Process, Target, run_to_end

OLD = "1.22.12"


def copy_of(context, name, version=NEWEST, mode="plain", package="race", folder=None):
    path = (folder or context.scratch) / name
    shutil.copyfile(build(version, mode, package), path)
    path.chmod(0o755)
    return path


def only_below(folder):
    """--exclude flags that leave nothing but the programs below `folder`: one for each character where a path may
    leave its way."""
    prefix = f"{folder}/"
    return [word for i in range(1, len(prefix)) for word in ("--exclude", f"{prefix[:i]}[!{prefix[i]}]*")]


def watch(context, *flags, **options):
    """mapwatch over all that is below the scratch folder; ready when it has looked through /proc. Of what it watches it
    sees all, unless a flag says otherwise: these cases are about who is watched."""
    chosen = [] if "--sample" in flags else ["--sample", "full"]
    mapwatch = Mapwatch(context, "watch", "-v", *(flags or ["-a", *only_below(context.scratch)]), *chosen, **options)
    expect(mapwatch.err.wait(r"watching \d+ process", 30), f"mapwatch did not start: {mapwatch.err.text()[-800:]}")
    return mapwatch


def count(binary, number):
    """Runs a program that does this many map writes and ends."""
    done = subprocess.run([binary, "-pace", "0", "count", str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    expect(done.returncode == 0, f"{binary} ended with {done.returncode}: {done.stderr[-400:]}")


def sums(mapwatch):
    """(watched, by marks alone, refused, unseen) of the last line but the summary."""
    line = next(l for l in mapwatch.err.text().splitlines() if "processes watched" in l)
    found = re.search(r"(\d+) processes watched, (\d+) more by their marks .*, (\d+) could not be; (\d+) of any", line)
    return tuple(map(int, found.groups()))


@case("all/there-before-and-started-after", builds=PLAIN)
def before_and_after(context):
    one, two = copy_of(context, "one"), copy_of(context, "two")
    before = [context.own(Target(each, "rw3", pace="1ms", held=False)) for each in (one, one, two)]
    mapwatch = watch(context)
    mapwatch.attached(*(t.pid for t in before))
    after = [context.own(Target(each, "rw3", pace="1ms", held=False)) for each in (one, two)]
    mapwatch.attached(*(t.pid for t in after))
    time.sleep(0.5)
    mapwatch.stop()
    expect(sums(mapwatch)[:3] == (5, 0, 0), f"sums: {sums(mapwatch)}")
    check.silent(mapwatch, hits=100)
    probes = probe_bytes(context, before[0].pid)
    for target in before + after:
        expect(untouched(target.pid, probes), "probes are left in the text")
        target.finish()


@case("all/file-never-seen-is-attached-before-its-call-sites-are-looked-for", builds=PLAIN + [(OLD, "stripped")])
def functions_first(context):
    """What a first probe does not need is read when it stands."""
    mapwatch = watch(context, "-a", *only_below(context.scratch), "--sample", "auto")
    for name, mode in (("one", (NEWEST, "plain")), ("two", (OLD, "stripped"))):
        target = context.own(Target(copy_of(context, name, *mode), "rw3", pace="1ms", held=False))
        mapwatch.attached(target.pid)
        sought = mapwatch.err.wait(rf"call sites of .*go{mode[0]}, are looked for", 10)
        expect(sought, f"no sites are looked for: {mapwatch.err.text()[-600:]}")
        told = mapwatch.err.text().splitlines()
        attached = next(i for i, line in enumerate(told) if f"attached to PID {target.pid} " in line)
        expect(attached < told.index(sought), f"sought before the probes stood: {told}")
        target.finish()
    mapwatch.stop()
    check.silent(mapwatch, hits=10)


@case("all/racy-program-that-starts-later-is-warned-of", builds=PLAIN)
def warned(context):
    binary = copy_of(context, "racy")
    mapwatch = watch(context)
    for _ in range(6):
        target = context.own(Target(binary, "write_read", pace="500us", held=False))
        mapwatch.attached(target.pid)
        hazard = mapwatch.wait_hazard(10, lambda h, pid=target.pid: h["process"]["pid"] == pid)
        target.close()
        if hazard:
            expect(hazard["process"]["exe"] == str(binary), f"exe {hazard['process']['exe']}")
            mapwatch.stop()
            return
    expect(False, "not warned of in 6 runs")


@case("all/processes-that-share-probes-tell-who-decides", builds=PLAIN)
def who_decides(context):
    """Each pays for its own hits; how much is armed for both is decided by the busier one."""
    path = copy_of(context, "prog")
    busy, quiet = (context.own(Target(path, "write_write_mutex", pace=pace, held=False)) for pace in ("20us", "50ms"))
    mapwatch = watch(context, "-a", *only_below(context.scratch), "--sample", "auto").attached(busy.pid, quiet.pid)
    time.sleep(4)
    told = {each["pid"]: each for each in mapwatch.stop()["targets"]}
    expect(set(told) == {busy.pid, quiet.pid}, f"{told}")
    for each in told.values():
        expect(each["sharing"] == 2 and each["decides"] == busy.pid, f"{busy.pid} is the busy one: {each}")
        expect(each["decides_cost"] == told[busy.pid]["cost"], f"{each}; the one that decides pays {told[busy.pid]['cost']}")
    for target in (busy, quiet):
        target.finish()


@case("all/first-operation-of-a-known-file-is-seen", builds=PLAIN)
def first_operation(context):
    """A program that ends long before anybody could attach to it: its file is armed."""
    binary = copy_of(context, "known")
    target = context.own(Target(binary, "rw3"))  # it waits for its start
    mapwatch = watch(context)
    mapwatch.attached(target.pid)
    for _ in range(10):
        count(binary, 2000)
    mapwatch.stop()
    check.silent(mapwatch, hits=20000)
    attached, brief, refused, _ = sums(mapwatch)
    expect(attached + brief == 11 and refused == 0, f"{attached} attached, {brief} brief, {refused} refused, not 11")


@case("all/under-the-budget-unasked", builds=PLAIN)
def unasked(context):
    """With -a nobody has said of a process that it may be slowed; of one that is named somebody has."""
    target = context.own(Target(copy_of(context, "one"), "rw3", pace="1ms", held=False))
    for flags, wanted in ((["-a", *only_below(context.scratch)], "auto"), (["-p", target.pid], "full")):
        mode = Mapwatch(context, "watch", "-v", *flags).attached(target.pid).stop()["targets"][0]["mode"]
        expect(mode.startswith(wanted), f"{flags[0]}: {mode}, not {wanted}")
    target.finish()


@case("all/exec-of-another-go-program", builds=PLAIN + [(OLD, "stripped")])
def exec_of_another(context):
    one, two = copy_of(context, "one"), copy_of(context, "two", OLD, "stripped")
    mapwatch = watch(context)
    target = context.own(Target(one, "exec", "700ms", two, "-for", "2s", "-pace", "1ms", "rw3", pace="1ms", held=False))
    expect(mapwatch.err.wait(rf"attached to PID {target.pid} .*/one, go{NEWEST}", 15), f"not the first: {mapwatch.err.text()[-600:]}")
    expect(mapwatch.err.wait(rf"attached to PID {target.pid} .*/two, go{OLD}", 15), f"not the second: {mapwatch.err.text()[-600:]}")
    expect(target.wait() == 0, f"the target ended with {target.child.returncode}")
    mapwatch.stop()
    check.silent(mapwatch, hits=100)


@case("all/shell-that-becomes-a-go-program", builds=PLAIN)
def shell_then_go(context):
    binary = copy_of(context, "one")
    mapwatch = watch(context)
    shell = context.own(Process(["sh", "-c", f"read line; exec {binary} -for 1s -pace 1ms rw3"]))
    shell.child.stdin.write("go\n")
    shell.child.stdin.flush()
    mapwatch.attached(shell.pid)
    expect(shell.wait() == 0, f"the target ended with {shell.child.returncode}")
    mapwatch.stop()
    check.silent(mapwatch, hits=100)


@case("all/deleted-and-replaced-files", builds=PLAIN + [(OLD, "stripped")])
def deleted(context):
    """A program runs on when its file is deleted; a new file under the old name is another program."""
    binary = copy_of(context, "one")
    gone = context.own(Target(binary, "rw3", pace="1ms", held=False))
    binary.unlink()
    mapwatch = watch(context)
    mapwatch.attached(gone.pid)
    binary = copy_of(context, "one")
    replaced = context.own(Target(binary, "rw3", pace="1ms", held=False))
    mapwatch.attached(replaced.pid)
    copy_of(context, "new", OLD, "stripped").rename(binary)
    newest = context.own(Target(binary, "rw3", pace="1ms", held=False))
    expect(mapwatch.err.wait(rf"attached to PID {newest.pid} .*go{OLD}", 15), f"said: {mapwatch.err.text()[-600:]}")
    time.sleep(0.3)
    mapwatch.stop()
    check.silent(mapwatch, hits=100)
    for target in (gone, replaced, newest):
        target.finish()


@case("all/file-written-over-in-place", builds=PLAIN + [(OLD, "stripped")])
def written_over(context):
    """The kernel sets breakpoints by inode and offset: in the new contents they would stand anywhere, and the old
    instructions would be run in place of the new ones. They must be gone before the first byte is written."""
    binary = copy_of(context, "one")
    target = context.own(Target(binary, "rw3", pace="1ms", held=False))
    mapwatch = watch(context)
    mapwatch.attached(target.pid)
    target.finish()
    for version, mode in ((OLD, "stripped"), (NEWEST, "plain"), (OLD, "stripped")):
        with open(build(version, mode), "rb") as source, open(binary, "wb") as file:  # O_TRUNC: the inode stays
            shutil.copyfileobj(source, file)
        target = context.own(Target(binary, "rw3", pace="1ms", held=False))
        expect(mapwatch.err.wait(rf"attached to PID {target.pid} .*go{version}", 15), f"said: {mapwatch.err.text()[-600:]}")
        expect(target.finish()["ops"] > 0, "the target stood still")
    mapwatch.stop()
    check.silent(mapwatch, hits=100)


@case("all/other-mount-and-pid-namespace", builds=PLAIN)
def namespaces(context):
    """A program whose path exists in its own mount namespace only."""
    inner = context.scratch / "inner"
    inner.mkdir()
    source = copy_of(context, "source")
    script = f"mount -t tmpfs none {inner} && cp {source} {inner}/prog && exec {inner}/prog -pace 1ms rw3"
    mapwatch = watch(context)
    shell = context.own(Process(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script]))
    line = mapwatch.err.wait(r"attached to PID \d+ .*inner/prog", 15)
    expect(line, f"not attached: {mapwatch.err.text()[-600:]}")
    expect(not (inner / "prog").exists(), "its path is seen from here: the case shows nothing")
    pid = int(re.search(r"PID (\d+)", line).group(1))
    time.sleep(0.5)
    mapwatch.stop()
    check.silent(mapwatch, hits=100)
    os.kill(pid, signal.SIGTERM)
    shell.wait()


@case("all/exclude", builds=PLAIN)
def exclude(context):
    wanted, other = copy_of(context, "wanted"), copy_of(context, "other-tool")
    targets = [context.own(Target(each, "rw3", pace="1ms", held=False)) for each in (wanted, other)]
    mapwatch = watch(context, "-a", *only_below(context.scratch), "--exclude", "*/other-*")
    mapwatch.attached(targets[0].pid)
    later = context.own(Target(other, "rw3", pace="1ms", held=False))
    second = context.own(Target(wanted, "rw3", pace="1ms", held=False))
    mapwatch.attached(second.pid)
    probes = probe_bytes(context, later.pid)
    for target in (targets[1], later):
        expect(untouched(target.pid, probes), "an excluded program is patched")
    mapwatch.stop()
    expect(sums(mapwatch)[0] == 2, f"sums: {sums(mapwatch)}")
    for target in (*targets, later, second):
        target.finish()


@case("all/excluded-process-of-an-armed-file", builds=PLAIN)
def exclude_one(context):
    """By its name of the moment, which only this process has: it is passed over, and nothing of it is counted."""
    binary = copy_of(context, "tool")
    link = context.scratch / "spared"
    link.symlink_to(binary)  # comm is the name it was started by
    mapwatch = watch(context, "-a", *only_below(context.scratch), "--exclude", "spared")
    target = context.own(Target(binary, "rw3"))
    mapwatch.attached(target.pid)
    spared = context.own(Target(link, "rw3", pace="100us", held=False))
    time.sleep(1)
    hits = mapwatch.stop()["hits"]
    expect(sums(mapwatch)[:3] == (1, 0, 0), f"sums: {sums(mapwatch)}")
    ops = spared.finish()["ops"]
    expect(hits * 5 < ops, f"{hits} hits of an excluded process that did {ops} operations")


@case("all/never-itself", builds=PLAIN)
def never_itself(context):
    """Neither mapwatch nor its guardian is looked at, though a wildcard names them (tests/unit/app/discovery_test.cpp
    has the case of a mapwatch that is taken for a Go program)."""
    binary = copy_of(context, "one")
    mapwatch = watch(context, "-n", "mapwatch", "-n", "mapwatch-guard", "-x", f"{context.scratch}/*")
    target = context.own(Target(binary, "rw3", pace="1ms", held=False))
    mapwatch.attached(target.pid)
    guardian = next(p for p in os.listdir("/proc") if p.isdigit() and is_child(p, mapwatch.pid))
    mapwatch.stop()
    told = mapwatch.err.text()
    expect(f"PID {mapwatch.pid} is" not in told and f"PID {mapwatch.pid} (" not in told, f"said: {told[-600:]}")
    expect(f"PID {guardian} is" not in told and f"to PID {guardian}" not in told, f"said: {told[-600:]}")
    expect(sums(mapwatch)[:3] == (1, 0, 0), f"sums: {sums(mapwatch)}")
    target.finish()


def is_child(pid, parent):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1]) == parent
    except OSError:
        return False


@case("all/forked-without-exec", builds=[(NEWEST, "plain", "forked")])
def forked(context):
    binary = copy_of(context, "forked", package="forked")
    mapwatch = watch(context)
    parent = context.own(Process([binary]))
    expect(parent.out.wait(r"^\d+$", 15), f"no child: {parent.err.text()[-400:]}")
    child = int(parent.out.lines[0])
    try:
        mapwatch.attached(parent.pid, child)
        time.sleep(0.3)
        mapwatch.stop()
        check.silent(mapwatch, hits=50)
        expect(sums(mapwatch)[:3] == (2, 0, 0), f"sums: {sums(mapwatch)}")
    finally:
        os.kill(child, signal.SIGKILL)


def at_pid(pid, command):
    """Starts a command under this very number, if nobody else takes it first."""
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(pid - 1))
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@case("all/processes-that-use-one-pid", builds=PLAIN)
def pid_reused(context):
    """Programs that follow each other under one number: each is another process, and none is taken for its forerunner."""
    binary, other = copy_of(context, "one"), copy_of(context, "two")
    holders = [context.own(Target(each, "rw3")) for each in (binary, other)]
    mapwatch = watch(context)
    mapwatch.attached(*(h.pid for h in holders))
    pid, runs, same = None, 0, 0
    for _ in range(60):
        each = (binary, other)[runs % 2]
        command = [each, "-pace", "0", "count", "1000"]
        child = at_pid(pid, command) if pid else subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        expect(child.wait(30) == 0, f"the tool ended with {child.returncode}: {child.stderr.read()[-300:]}")
        child.stderr.close()
        runs += 1
        same += child.pid == pid
        pid = child.pid
        if same >= 8:
            break
    mapwatch.stop()
    check.silent(mapwatch, hits=1000 * runs)
    attached, brief, _, _ = sums(mapwatch)
    expect(attached + brief == runs + 2, f"{attached} attached, {brief} brief, not {runs + 2}")
    if same < 8:
        raise Skipped(f"only {same} processes of {runs} had their forerunner's number")


@case("all/kill-9-leaves-all-unpatched", builds=PLAIN)
def kill_9(context):
    """The links and the lease go with mapwatch: the text is whole, and the file may be written to at once."""
    binary = copy_of(context, "one")
    targets = [context.own(Target(binary, "rw3", pace="200us", held=False)) for _ in range(3)]
    probes = probe_bytes(context, targets[0].pid)
    mapwatch = watch(context)
    mapwatch.attached(*(t.pid for t in targets))
    expect(all(patched(t.pid, probes) == len(probes) for t in targets), "not all of them are patched")
    mapwatch.signal(signal.SIGKILL)
    mapwatch.wait()
    wait_for("original text", lambda: all(untouched(t.pid, probes) for t in targets), 5)
    for target in targets:
        expect(target.finish()["ops"] > 0, "a target stood still")
    copy_of(context, "one", mode="plain")
    count(binary, 100)


@case("all/-a-with-nothing-to-watch", builds=PLAIN)
def nothing(context):
    status, _, err = run_to_end(context, "watch", "-a", *only_below(context.scratch), "-d", "300ms")
    expect(status == 0 and "watching 0 processes yet" in err, f"status {status}: {err[-400:]}")
