"""mapwatch top: the table in a real terminal (tmux), in a pipe and as JSON; settings for single targets.

A terminal is looked at until what is expected stands on it: nothing here waits for time to pass."""
import json
import os
import re
import shlex
import signal
import subprocess

from . import check
from .fixtures import NEWEST, build
from .harness import Skipped, case, expect, wait_for
from .lifecycle import PLAIN, probe_bytes, untouched
from .process import Mapwatch, Process, Target, run_to_end
from .terminal import Terminal
from .whole_host import at_pid, copy_of, only_below


def quiet(context, path=None, pace="1ms"):
    """A correct program at work."""
    return context.own(Target(path or build(NEWEST), "rw3", pace=pace, held=False))


def row(target):
    """Of the table: the process is watched."""
    return rf"^ *{target.pid} \S+ .* ok"


def order(screen, *targets):
    """Their PIDs as they stand from top to bottom."""
    wanted = [str(t.pid) for t in targets]
    return [int(m) for m in re.findall(r"^ *(\d+) ", screen, re.MULTILINE) if m in wanted]


@case("top/sort-filter-and-drill-down", builds=PLAIN)
def keys(context):
    one, two = quiet(context, copy_of(context, "one-tool")), quiet(context, copy_of(context, "two-tool"))
    low, high = sorted((one, two), key=lambda t: t.pid)
    terminal = Terminal(context)
    terminal.top(context, "-p", f"{one.pid},{two.pid}", pattern=row(one))
    terminal.wait(row(two))
    for _ in range(5):  # from HAZARDS over the last column to PID
        terminal.keys("Right")
    wait_for("sorted by PID", lambda: order(terminal.screen(), one, two) == [low.pid, high.pid], 10)
    terminal.keys("S")
    wait_for("the other way round", lambda: order(terminal.screen(), one, two) == [high.pid, low.pid], 10)
    terminal.keys("f")
    terminal.wait("^filter: _")
    terminal.tmux("send-keys", "-l", "two-")
    terminal.wait("^filter: two-_")
    wait_for("only one row", lambda: order(terminal.screen(), one, two) == [two.pid], 10)
    terminal.keys("Enter")
    terminal.wait(r"^q quit.*filter: two-")
    terminal.keys("Enter")
    screen = terminal.wait(r"^ +[1-9][\d.k]* +[\d.k]+ +[\d.k]+ always +100 .* write +\S+")
    expect(f"{two.pid} two-tool" in screen and "none seen" in screen, f"no head of the target:\n{screen}")
    expect("SEEN IN" in screen and "functions" in screen, f"no sites:\n{screen}")
    terminal.keys("?")
    terminal.wait("^Keys")
    terminal.keys("Escape")
    terminal.wait("SEEN IN")
    terminal.keys("Escape")
    terminal.wait(r"^ +PID +COMM")
    terminal.keys("Escape")
    wait_for("both rows", lambda: len(order(terminal.screen(), one, two)) == 2, 10)
    terminal.keys("p")
    terminal.wait("^PAUSED")
    terminal.keys("p")
    terminal.wait("^q quit")
    terminal.keys("q")
    terminal.restored(status=0)
    for target in (one, two):
        target.finish()


@case("top/resize-and-tiny-terminals", builds=PLAIN)
def resize(context):
    target = quiet(context)
    terminal = Terminal(context)
    screen = terminal.top(context, "-p", target.pid, pattern=row(target))
    expect(" AGE " in screen, f"a wide terminal lacks columns:\n{screen}")
    terminal.tmux("resize-window", "-x", 80, "-y", 24)
    wait_for("fewer columns", lambda: " AGE " not in terminal.screen(), 10)
    terminal.wait(row(target))
    for columns, rows in ((1, 1), (2, 1), (1, 5), (10, 2), (170, 3), (7, 7)):
        terminal.tmux("resize-window", "-x", columns, "-y", rows)
        for key in ("Enter", "Down", "?", "Escape", "Escape", "s"):
            terminal.keys(key)
    terminal.tmux("resize-window", "-x", 170, "-y", 30)
    terminal.wait(r" AGE ")
    terminal.wait(row(target))
    terminal.keys("q")
    terminal.restored(status=0)
    target.finish()


def ends(name, act, status):
    @case(f"top/terminal-restored-after-{name}", builds=PLAIN)
    def run(context, act=act, status=status):
        target = quiet(context)
        probes = probe_bytes(context, target.pid)
        terminal = Terminal(context)
        terminal.top(context, "-p", target.pid, pattern=row(target))
        expect(terminal.value("alternate_on") == "1", "top has no screen of its own")
        act(terminal, target)
        terminal.restored(status)
        if target.running():
            wait_for("original text", lambda: untouched(target.pid, probes), 10)
            target.finish()


def send(number):
    return lambda terminal, target: os.kill(terminal.pid(), number)


ends("ctrl-c", lambda terminal, target: terminal.keys("C-c"), 0)
ends("sigterm", send(signal.SIGTERM), 0)
ends("sighup", send(signal.SIGHUP), 0)
ends("sigabrt", send(signal.SIGABRT), 134)
ends("sigsegv", send(signal.SIGSEGV), 139)
ends("ctrl-backslash", lambda terminal, target: terminal.keys("C-\\"), 131)
ends("end-of-the-target", lambda terminal, target: target.signal(signal.SIGKILL), 0)


@case("top/stopped-and-continued", builds=PLAIN)
def stopped(context):
    target = quiet(context)
    terminal = Terminal(context)
    terminal.top(context, "-p", target.pid, pattern=row(target))
    pid = terminal.pid()
    terminal.keys("C-z")
    terminal.wait(r"Stopped")
    expect(terminal.value("alternate_on") == "0", "a stopped top keeps its screen")
    terminal.run("stty -a > after; cmp before after && echo 'as bef''ore'", r"^as before$")
    expect(target.running(), "the target died")
    terminal.run("fg", row(target))
    expect(terminal.value("alternate_on") == "1", "no screen of its own after fg")
    os.kill(pid, signal.SIGSTOP)
    terminal.wait(r"Stopped")
    terminal.run("fg", row(target))
    terminal.keys("q")
    wait_for("end of top", lambda: not os.path.exists(f"/proc/{pid}"), 15)
    terminal.run("stty -a > after; cmp before after && echo 'aga''in as before'", r"^again as before$")
    target.finish()


@case("top/hazards-and-a-crash", builds=PLAIN)
def crash(context):
    """The racy program's row tells of the hazard, then of its crash; when top ends both are printed once more."""
    binary = copy_of(context, "racy")
    terminal = Terminal(context, columns=200)
    terminal.top(context, "-a", *only_below(context.scratch), "--sample", "full")
    for _ in range(8):
        target = context.own(Target(binary, "write_read", pace="500us"))
        terminal.wait(row(target))  # what crashes before its probes stand nobody can tell of
        target.release()
        target.wait(60)
        screen = terminal.wait(rf"^ *{target.pid} .* CRASHED: concurrent map")
        tally = re.search(rf"^ *{target.pid} .* (\d+)/(\d+)/(\d+) ", screen, re.MULTILINE)
        expect(tally, f"no tally:\n{screen}")
        if int(tally.group(3)) > 0:
            break
    else:
        expect(False, "no warning before the crash in 8 runs")
    terminal.keys("f")
    terminal.tmux("send-keys", "-l", str(target.pid))
    terminal.keys("Enter")
    screen = terminal.wait(r"^HOT .*main\.writeRead\w+ basic\.go:\d+")
    terminal.keys("Enter")
    terminal.wait(r"^ +(write|read) main\.writeRead\w+ basic\.go:\d+$")
    terminal.keys("q")
    screen = terminal.restored(status=0)
    expect(re.search(rf"racy\[{target.pid}\] (PROVEN|IMMINENT)", screen.replace("\n", "")), f"no finding at the end:\n{screen}")


@case("top/hostile-names", builds=PLAIN)
def hostile(context):
    """A process may be called anything: nothing of it acts upon the terminal."""
    link = context.scratch / "\x1b[2Je\x07\n世"
    link.symlink_to(copy_of(context, "one"))
    target = quiet(context, link)
    terminal = Terminal(context)
    screen = terminal.top(context, "-p", target.pid, pattern=rf"^ *{target.pid} \\x1b\[2Je\\x07")
    expect(screen.startswith("mapwatch "), f"the head is gone:\n{screen}")
    terminal.keys("q")
    terminal.restored(status=0)
    status, out, _ = run_to_end(context, "top", "--once", "-p", target.pid)
    expect(status == 0 and "\x1b" not in out and "\x07" not in out, f"status {status}: {out!r}")
    target.finish()


@case("top/wide-letters", builds=PLAIN)
def wide(context):
    target = quiet(context, copy_of(context, "世界tool"))
    terminal = Terminal(context)
    terminal.top(context, "-p", target.pid, pattern=rf"^ *{target.pid} 世界tool +1\.\d+")
    terminal.keys("q")
    terminal.restored(status=0)
    target.finish()


@case("top/colour-only-where-it-is-wanted", builds=PLAIN)
def colour(context):
    """A row that is red where colour is allowed, and bold where it is not."""
    for env, wanted in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = Terminal(context, columns=200, **env)
        terminal.top(context, "-a", *only_below(context.scratch))
        calm = quiet(context, copy_of(context, "calm"), pace="10ms")
        target = context.own(Target(copy_of(context, "racy"), "write_write", pace="0"))
        terminal.wait(row(target))  # its probes stand
        terminal.wait(row(calm))
        target.release()
        screen = terminal.wait(rf"^ *{target.pid} .* CRASHED", 60)
        # The chosen row is reversed instead: the other one is to be it.
        terminal.keys("Up" if screen.index(f" {calm.pid} ") < screen.index(f" {target.pid} ") else "Down")
        wait_for("the choice", lambda: re.search(rf"\x1b\[[0-9;]*7m(\x1b\[[0-9;]*m| )*{calm.pid} ",
                                                 terminal.tmux("capture-pane", "-p", "-e")), 30)
        painted = terminal.tmux("capture-pane", "-p", "-e")
        found = re.search(r"\x1b\[[0-9;]*3[0-7]m", painted)
        expect(bool(found) == wanted, f"colour {'is missing' if wanted else 'with NO_COLOR'}: {painted!r}")
        terminal.keys("q")
        terminal.restored(status=0)
        terminal.close()
        calm.finish()


@case("top/a-number-that-another-process-has-now", builds=PLAIN)
def reused(context):
    """A process that runs is not shown as the one that crashed under its number."""
    terminal = Terminal(context, columns=200)
    terminal.top(context, "-a", *only_below(context.scratch))
    calm = copy_of(context, "calm")
    for _ in range(20):
        first = context.own(Target(copy_of(context, "racy"), "write_write", pace="0"))
        terminal.wait(row(first))
        first.release()
        first.wait(60)
        terminal.wait(rf"^ *{first.pid} .* CRASHED", 60)
        second = at_pid(first.pid, [calm, "-pace", "1ms", "-for", "60s", "rw3"])
        try:
            if second.pid == first.pid:
                terminal.wait(rf"^ *{first.pid} calm .* ok", 30)
                break
        finally:
            second.kill()
            second.communicate()
    else:
        raise Skipped("no process of 20 had its forerunner's number")
    terminal.keys("q")
    terminal.restored(status=0)


@case("top/terminals-that-can-only-print", builds=PLAIN)
def dumb(context):
    target = quiet(context)
    terminal = Terminal(context, term="dumb")
    screen = terminal.top(context, "-p", target.pid, pattern=r"^ended 2$")
    expect("TERM=dumb" in screen and "--once" in screen, f"said:\n{screen}")
    screen = terminal.top(context, "-p", target.pid, before="TERM=nonsense ", pattern=r"^ended 2$")
    expect("nonsense" in screen and "--once" in screen, f"said:\n{screen}")
    terminal.top(context, "-p", target.pid, "--once", pattern=r"^ended 0$")
    target.finish()


@case("top/tables-in-a-pipe", builds=PLAIN)
def pipe(context):
    """One after the other, until nobody reads any more."""
    target = quiet(context)
    probes = probe_bytes(context, target.pid)
    top = context.own(Process([context.mapwatch, "top", "-p", target.pid, "-i", "200ms"]))
    for _ in range(2):
        expect(top.out.wait(rf"^ *{target.pid} race.* ok", 30), f"no row: {top.out.text()[-400:]} {top.err.text()[-400:]}")
    wait_for("a third table", lambda: top.out.text().count("PID COMM") >= 3, 20)
    expect("\x1b" not in top.out.text(), "escape sequences in a pipe")
    top.signal(signal.SIGINT)
    expect(top.wait(15) == 0, f"ended with {top.child.returncode}")
    reader = subprocess.run(f"{shlex.quote(context.mapwatch)} top -p {target.pid} -i 100ms 2> {context.scratch}/err | head -1; "
                            "echo ${PIPESTATUS[0]}", shell=True, executable="/bin/bash", text=True, stdout=subprocess.PIPE,
                            timeout=60)
    expect(reader.stdout.startswith("mapwatch ") and reader.stdout.endswith("\n0\n"), f"{reader.stdout!r}")
    expect(untouched(target.pid, probes), "probes are left in the text")
    target.finish()


@case("top/once", builds=PLAIN)
def once(context):
    busy = quiet(context, copy_of(context, "busy-tool"), pace="100us")
    status, out, err = run_to_end(context, "top", "--once", "-p", busy.pid)
    expect(status == 0, f"status {status}: {err}")
    lines = out.splitlines()
    expect(re.match(r"mapwatch \S+  \S+  kernel ", lines[0]) and "LOST 0" in lines[1], f"head: {lines[:2]}")
    expect(lines[2].split()[:2] == ["PID", "COMM"], f"titles: {lines[2]}")
    cells = lines[3].split()
    expect(cells[0] == str(busy.pid) and cells[1] == "busy-tool" and cells[2] == NEWEST, f"row: {cells}")
    expect(len(lines) == 4, f"more than a table: {lines[4:]}")
    expect("dwells" in err and f"{busy.pid} busy-tool: full, 100.0 % of" in err, f"no summary, or none of the target: {err}")
    busy.finish()


@case("top/once-as-json", builds=PLAIN)
def once_json(context):
    busy = quiet(context, pace="100us")
    status, out, err = run_to_end(context, "top", "--once", "-o", "json", "-p", busy.pid)
    expect(status == 0, f"status {status}: {err}")
    objects = [json.loads(line) for line in out.splitlines()]
    expect([o["kind"] for o in objects] == ["target", "summary"], f"kinds {[o['kind'] for o in objects]}, lost {objects[1]}")
    target, summary = objects
    expect(target["pid"] == busy.pid and target["mode"] == "full" and target["watched"], f"{target}")
    expect(target["hits"] > 0 and target["hits_per_s"] > 0 and target["ops_per_s"] > 0, f"{target}")
    expect(target["writes_per_s"] > 0 and target["cost"] > 0 and not target["estimated"], f"{target}")
    expect(target["armed_share"] == 1 and target["budget"] == 0.01 and not target["by_calls"], f"{target}")
    used = [p for p in target["places"] if p["hits"] > 0]
    expect(len(target["places"]) == target["sites"] and sum(p["hits"] for p in used) > 0, f"{target['places']}")
    expect(any(p["detect_ns"] and p["ops_per_s"] > 0 and p["place"] == "always" and not p["never"] for p in used), f"{used}")
    told = summary["targets"]
    expect([t["pid"] for t in told] == [busy.pid], f"{told}")
    expect(told[0]["sites"] == target["sites"] and told[0]["sites_used"] > 0, f"{told}")
    expect(told[0]["detect_half_ns"] > 0 and told[0]["sites_never"] == 0, f"{told}")
    busy.finish()


@case("top/statuses", builds=PLAIN)
def statuses(context):
    status, _, err = run_to_end(context, "top", "--once")
    expect(status == 2 and "top: nothing to watch" in err, f"{status}: {err}")
    other = context.own(Process(["sleep", "60"]))
    status, _, err = run_to_end(context, "top", "--once", "-p", other.pid)
    expect(status == 3, f"a process that is not Go's: {status}: {err}")
    status, _, err = run_to_end(context, "top", "--once", "-p", "4194000")
    expect(status == 1, f"no such process: {status}: {err}")
    for _ in range(6):
        racy = context.own(Target(build(NEWEST), "write_read", pace="500us"))
        top = Mapwatch(context, "top", "--once", "-i", "20s", "-p", racy.pid, "--exit-code", "9").attached(racy.pid)
        racy.release()
        status = top.wait(60)
        if top.kind("hazard"):
            expect(status == 9, f"hazards, and ended with {status}")
            return
        expect(status == 0, f"no hazard, and ended with {status}")
    expect(False, "no hazard in 6 runs")


@case("config/settings-for-single-targets", builds=PLAIN)
def single_targets(context):
    """Two programs under one watch -a, each with its own budget, sampling and dwell; a third as the rest of the file says."""
    names = ("one", "two", "three")
    targets = {name: quiet(context, copy_of(context, name), pace="200us") for name in names}
    config = context.scratch / "mapwatch.toml"
    config.write_text("budget = 3%\nsample = full\n\n[[target]]\nname = one\nbudget = 0.5%\nsample = auto\n\n"
                      f"[[target]]\nexe = \"{context.scratch}/two\"\nsample = 1/4\n")
    mapwatch = Mapwatch(context, "watch", "-v", "-a", *only_below(context.scratch), "--config", config)
    mapwatch.attached(*(t.pid for t in targets.values()))
    summary = mapwatch.stop()
    told = {os.path.basename(t["exe"]): t for t in summary["targets"]}
    expect({n: told[n]["budget"] for n in names} == {"one": 0.005, "two": 0.03, "three": 0.03}, f"budgets: {told}")
    expect(told["one"]["mode"].startswith(("auto", "off")), f"one: {told['one']}")
    expect(told["two"]["mode"] == "1/4" and told["two"]["armed_share"] == 0.25, f"two: {told['two']}")
    expect(told["three"]["mode"] == "full" and told["three"]["armed_share"] == 1, f"three: {told['three']}")
    mapwatch = Mapwatch(context, "watch", "-v", "-a", *only_below(context.scratch), "--config", config, "--sample", "full")
    mapwatch.attached(*(t.pid for t in targets.values()))
    told = {os.path.basename(t["exe"]): t for t in mapwatch.stop()["targets"]}
    expect({t["mode"] for t in told.values()} == {"full"}, f"a flag is stronger than the file: {told}")
    expect(told["one"]["budget"] == 0.005, f"what the flag does not say stays: {told['one']}")
    check.silent(mapwatch, hits=10)
    for target in targets.values():
        target.finish()


@case("config/errors-of-single-targets")
def errors(context):
    config = context.scratch / "mapwatch.toml"
    config.write_text("[[target]]\nname = one\nbudgte = 1%\n")
    status, _, err = run_to_end(context, "watch", "-a", "--config", config)
    expect(status == 2 and f"{config}:3: unknown key budgte" in err and "did you mean budget?" in err, f"{status}: {err}")
