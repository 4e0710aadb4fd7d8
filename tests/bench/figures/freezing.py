"""How long a process with many goroutines stands still for being read: mapwatch, Delve and Go's own dump, on the same process."""
import re
import signal
import subprocess
import time

from lib import delve, fixtures
from lib.freeze import Watched
from lib.harness import Context, Failed

from . import stats
from .rows import Row

GOALS = {10_000: 0.2, 100_000: 2.0}  # seconds frozen, stripped programs too


class Crowd:
    """The fixture with many parked goroutines. It measures itself for how long it stood still."""

    def __init__(self, context, mode, goroutines):
        self.errors = open(context.scratch / f"go-{time.monotonic_ns()}.txt", "w+")
        self.child = subprocess.Popen([fixtures.build(fixtures.NEWEST, mode), "-crowd", str(goroutines), "-pulse", "-start-on-stdin",
                                       "solo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        context.own(self)
        if self.child.stdout.readline() != "ready\n":
            raise Failed("the fixture did not start")
        self.pid = self.child.pid
        self.stood_still()

    def stood_still(self):
        """Seconds, at most, since the last question."""
        self.child.send_signal(signal.SIGUSR1)
        return int(self.child.stdout.readline().split()[1]) / 1e9

    def gos_own_dump(self):
        """Seconds from SIGQUIT to its end, and how many goroutines it told of."""
        start = time.monotonic()
        self.child.send_signal(signal.SIGQUIT)
        self.child.wait(300)
        took = time.monotonic() - start
        self.errors.seek(0)
        return took, sum(line.startswith("goroutine ") for line in self.errors)

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self.errors.close()


def run(context, command, text=""):
    """(seconds, stdout, stderr) of a command that must do well."""
    out = context.scratch / "out.txt"
    with open(out, "w") as file:
        start = time.monotonic()
        done = subprocess.run([str(c) for c in command], input=text, stdout=file, stderr=subprocess.PIPE, text=True, timeout=600)
        took = time.monotonic() - start
    if done.returncode != 0:
        raise Failed(f"{command[:3]} ended with {done.returncode}: {done.stderr[-300:]}")
    return took, out.read_text(errors="replace"), done.stderr


def read_by_each(bench, mode, goroutines, runs, slow_runs):
    """{who: {"felt", "whole", "told"}}: seconds as the process felt it, of the whole command, and goroutines told of."""
    raw = {who: {"felt": [], "whole": [], "told": []} for who in ("mapwatch", "Delve", "Go")}
    raw["mapwatch"]["held"] = []
    for n in range(slow_runs):
        context = Context(bench.mapwatch, False)
        try:
            target = Crowd(context, mode, goroutines)
            for _ in range(-(-runs // slow_runs)):
                took, out, err = run(context, [bench.mapwatch, "dump", "-p", target.pid, "--max-freeze", "60s"])
                raw["mapwatch"]["felt"].append(target.stood_still())
                raw["mapwatch"]["held"].append(float(re.search(r"was held for ([\d.]+) ms", err)[1]) / 1e3)
                raw["mapwatch"]["whole"].append(took)
                raw["mapwatch"]["told"].append(sum(map(int, re.findall(r"^(\d+) goroutines? in ", out, re.M))))
            took, out, _ = run(context, [delve.build(), "attach", target.pid, "--allow-non-terminal-interactive"],
                               "goroutines -t\nexit\nn\n")
            raw["Delve"]["felt"].append(target.stood_still())
            raw["Delve"]["whole"].append(took)
            raw["Delve"]["told"].append(len(re.findall(r"Goroutine \d+ - ", out)))
            took, told = target.gos_own_dump()
            raw["Go"]["whole"].append(took)
            raw["Go"]["told"].append(told)
        finally:
            context.close()
        bench.report(f"freeze, {mode}, {goroutines} goroutines: {n + 1} of {slow_runs}")
    return raw


def crashes(bench, mode, goroutines, runs):
    """Seconds frozen at a crash, and from the crash to its report, which comes after the dossier."""
    frozen, told = [], []
    for n in range(runs):
        context = Context(bench.mapwatch, False)
        try:
            watched = Watched(context, "--max-freeze", "60s", "--state-dir", context.scratch / "state", pace="0", start=60,
                              binary=fixtures.build(fixtures.NEWEST, mode), extra=["-crowd", str(goroutines)])
            watched.target.release()
            watched.died_of_its_own()
            crash = watched.one_crash()
            frozen.append(crash["frozen_ns"] / 1e9)
            told.append((crash["printed_ns"] - crash["time_ns"]) / 1e9)
        finally:
            context.close()
        bench.report(f"freeze at a crash, {mode}, {goroutines} goroutines: {n + 1} of {runs}")
    return {"frozen": frozen, "told": told}


def freeze(bench):
    """Seconds. Delve takes a minute for 100,000 goroutines, so the slow ones run a few times only."""
    rows, raw = [], {}
    runs = bench.runs if bench.runs >= 10 else 2
    for goroutines, goal in GOALS.items():
        if bench.runs < 10 and goroutines > 10_000:
            continue  # --smoke
        for mode in ("plain", "stripped"):
            slow = max(1, min(5, runs // 4) if goroutines <= 10_000 else runs // 10)
            read = read_by_each(bench, mode, goroutines, runs, slow)
            crash = crashes(bench, mode, goroutines, max(2, runs // 2))
            raw[f"{goroutines} {mode}"] = {"read": read, "crash": crash}
            ours = read["mapwatch"]
            told = " / ".join(str(min(read[who]["told"])) for who in ("mapwatch", "Delve", "Go"))
            title = f"{goroutines} goroutines, {mode}"
            rows += [
                Row(f"{title}: dump -p, held, s", f"<= {goal}", stats.with_interval(ours["held"]), len(ours["held"]), stats.median(ours["held"]) <= goal),
                Row("  stood still as the process felt it, s", f"<= {goal}", stats.with_interval(ours["felt"]), len(ours["felt"]),
                    stats.median(ours["felt"]) <= goal),
                Row("  whole command, s", "-", stats.with_interval(ours["whole"]), len(ours["whole"])),
                Row("  Delve, attach and goroutines -t, stood still, s", "-", stats.with_interval(read["Delve"]["felt"]), slow),
                Row("  Go's own dump at SIGQUIT, to its end, s", "-", stats.with_interval(read["Go"]["whole"]), slow),
                Row("  goroutines told of: mapwatch / Delve / Go", "-", told, slow),
                Row("  crash: frozen, s", f"<= {goal}", stats.with_interval(crash["frozen"]), len(crash["frozen"]),
                    stats.median(crash["frozen"]) <= goal),
                Row("  crash: to its report, the dossier written, s", "-", stats.with_interval(crash["told"]), len(crash["told"])),
            ]
    return rows, raw
