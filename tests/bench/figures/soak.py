"""Hours in minutes: processes that start, race, crash and stop, files that are replaced and deleted, all under one
`watch -a`, which is killed and started again in the middle. What it holds must not grow, and nothing be lost."""
import os
import random
import shutil
import signal
import subprocess
import threading
import time

from lib import fixtures
from lib.harness import Context, Failed, wait_for
from lib.lifecycle import probe_bytes, untouched
from lib.process import Mapwatch, Target
from lib.whole_host import only_below

from . import own, stats
from .rows import Row

RACY = ["write_read", "write_write", "delete_write", "iterate_write"]
OLDER = "1.22.12"
EVERY_S = 5
# Growth over the time that was looked at, that no line through noisy samples can be told from: a share, and a floor.
FLAT_SHARE, FLAT_BYTES, FLAT_COUNT = 0.02, 1 << 20, 3


class Churn:
    """Threads that start and end programs below a folder until told to stop."""

    def __init__(self, folder):
        self.folder, self.over, self.lock = folder, threading.Event(), threading.Lock()
        self.counts = dict.fromkeys(("racy", "crashed", "correct", "tools", "replaced", "deleted", "failed"), 0)
        self.sources = [fixtures.build(fixtures.NEWEST), fixtures.build(OLDER, "stripped")]
        self.scenarios = [name for name in RACY if name in fixtures.scenarios(self.sources[0])]
        self.steady = []
        for n in range(4):
            self.place(f"steady{n}", n)
            self.steady.append(self.start(f"steady{n}", "-pace", "2ms", "rw3"))
        for n in range(3):
            self.place(f"tool{n}", n)
            self.place(f"racy{n}", n)
        self.threads = [threading.Thread(target=self.repeat, args=(one, seed), daemon=True)
                        for seed, one in enumerate([self.race, self.race, self.tool, self.tool, self.replace, self.delete])]
        for thread in self.threads:
            thread.start()

    def place(self, name, n):
        """A file of its own inode and contents, put under the name at once."""
        fresh = self.folder / f".{name}"
        shutil.copyfile(self.sources[n % len(self.sources)], fresh)
        with open(fresh, "ab") as file:
            file.write(name.encode())
        fresh.chmod(0o755)
        fresh.rename(self.folder / name)

    def start(self, name, *args):
        return subprocess.Popen([self.folder / name, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def count(self, what, ok=True):
        with self.lock:
            self.counts[what if ok else "failed"] += 1

    def repeat(self, one, seed):
        rng = random.Random(seed)
        while not self.over.is_set():
            one(rng)

    def race(self, rng):
        racy = self.start(f"racy{rng.randrange(3)}", "-pace", rng.choice(["100us", "1ms", "10ms"]), rng.choice(self.scenarios))
        try:
            status = racy.wait(rng.uniform(0.5, 4))
        except subprocess.TimeoutExpired:
            racy.send_signal(rng.choice([signal.SIGTERM, signal.SIGKILL]))
            racy.wait()
            status = None
        self.count("racy")
        if status == 2:  # Go's own fatal error
            self.count("crashed")
        self.over.wait(0.2)

    def tool(self, rng):
        self.count("tools", self.start(f"tool{rng.randrange(3)}", "-pace", "0", "count", "200").wait() == 0)
        self.over.wait(rng.uniform(0, 0.2))

    def replace(self, rng):
        self.over.wait(5)
        n = rng.randrange(3)
        self.place(f"{rng.choice(['tool', 'racy'])}{n}", n + rng.randrange(2))
        self.count("replaced")

    def delete(self, rng):
        self.place("deleted", rng.randrange(2))
        process = self.start("deleted", "-pace", "1ms", "-for", "3s", "rw3")
        time.sleep(0.05)
        (self.folder / "deleted").unlink()
        self.count("deleted", process.wait() == 0)
        self.count("correct")
        self.over.wait(1)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        for process in self.steady:
            if process.poll() is not None:
                self.count("failed", False)
            process.terminate()
            process.wait()


def sample(mapwatch, since):
    memory, heap = own.rss(mapwatch.pid)
    counters = own.counters(mapwatch.pid)
    guard = own.children(mapwatch.pid)
    return {"s": round(time.monotonic() - since, 1), "rss": memory, "heap": heap, "fds": own.descriptors(mapwatch.pid),
            "guardian_rss": sum(own.rss(g)[0] for g in guard), "guardian_fds": sum(own.descriptors(g) for g in guard),
            "entries": own.entries(mapwatch.pid), "lost_ring": counters.get("lost_ring"), "lost_new": counters.get("lost_new"),
            "hits": counters.get("hits"), "cpu_s": own.cpu_s(mapwatch.pid)}


def watch(bench, context):
    mapwatch = Mapwatch(context, "watch", "-a", *only_below(context.scratch))
    if not mapwatch.err.wait(r"watching \d+ process", 60):
        raise Failed(f"mapwatch did not start: {mapwatch.err.text()[-600:]}")
    return mapwatch


def follow(bench, mapwatch, seconds, name):
    samples, begin = [], time.monotonic()
    while time.monotonic() - begin < seconds:
        time.sleep(EVERY_S)
        if not mapwatch.running():
            raise Failed(f"mapwatch ended with {mapwatch.child.poll()}: {mapwatch.err.text()[-800:]}")
        samples.append(sample(mapwatch, begin))
        last = samples[-1]
        bench.report(f"soak, {name}: {last['s']:.0f} of {seconds:.0f} s, {last['rss'] / 1e6:.1f} MB, {last['fds']} fds, "
                     f"{last['entries']} entries, lost {last['lost_ring']}")
    return samples


def line(points):
    """Slope of the least squares line through (s, value), and its standard error: of blocks' means, for samples that
    follow each other are alike."""
    n = len(points)
    size = max(1, n // 12)
    blocks = [points[i:i + size] for i in range(0, n - size + 1, size)]
    xs = [sum(x for x, _ in b) / len(b) for b in blocks]
    ys = [sum(y for _, y in b) / len(b) for b in blocks]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mx) ** 2 for x in xs)
    if len(xs) < 3 or spread == 0:
        return 0.0, float("inf"), my
    slope = sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / spread
    rest = sum((y - my - slope * (x - mx)) ** 2 for x, y in zip(xs, ys))
    return slope, (rest / (len(xs) - 2) / spread) ** 0.5, my


def verdict(samples, key, floor):
    """(text, flat): the line through all samples but those of the first quarter."""
    rest = samples[len(samples) // 4:]
    slope, error, mean = line([(s["s"], s[key]) for s in rest])
    grown = slope * (rest[-1]["s"] - rest[0]["s"])
    flat = grown - 2 * error * (rest[-1]["s"] - rest[0]["s"]) <= 0 or grown <= max(FLAT_SHARE * mean, floor)
    scale, unit = (1 / 1024, "KiB") if floor == FLAT_BYTES else (1, "")
    values = [s[key] * scale for s in rest]
    return (f"{stats.median(values):.0f} {unit} [{min(values):.0f}, {max(values):.0f}], {3600 * slope * scale:+.0f} "
            f"+- {2 * 3600 * error * scale:.0f} an hour"), flat


KINDS = [("rss", "resident memory", FLAT_BYTES), ("heap", "  of that not of a file", FLAT_BYTES), ("fds", "descriptors", FLAT_COUNT),
         ("entries", "entries of BPF hash maps", FLAT_COUNT), ("guardian_rss", "guardian, resident memory", FLAT_BYTES),
         ("guardian_fds", "guardian, descriptors", FLAT_COUNT)]


def soak(bench):
    context = Context(bench.mapwatch, False)
    rows, raw = [], {}
    try:
        churn = Churn(context.scratch)
        context.stack.callback(churn.stop)
        half = bench.minutes * 60 / 2
        mapwatch = watch(bench, context)
        first = follow(bench, mapwatch, half, "before kill -9")
        hazards = len(mapwatch.kind("hazard"))
        probes = probe_bytes(context, churn.steady[0].pid)
        killed = time.monotonic()
        mapwatch.signal(signal.SIGKILL)
        mapwatch.wait(120)  # the kernel takes out its links, one after the other
        wait_for("the original text after kill -9", lambda: untouched(churn.steady[0].pid, probes), 10)
        killed = time.monotonic() - killed
        crashes = len(mapwatch.kind("crash"))
        mapwatch = watch(bench, context)
        second = follow(bench, mapwatch, half, "after it")
        lost = sum(samples[-1]["lost_ring"] for samples in (first, second))
        summary = mapwatch.stop()
        hazards, crashes = hazards + len(mapwatch.kind("hazard")), crashes + len(mapwatch.kind("crash"))
        last = [text for text in mapwatch.err.text().splitlines() if "processes watched" in text][-1:]
        churn.stop()
        rows.append(Row("soak: started and ended under one watch -a", "-",
                        ", ".join(f"{n} {what}" for what, n in churn.counts.items()), 1, churn.counts["failed"] == 0))
        rows.append(Row("  kill -9: until the text of all was whole, s", "-", f"{killed:.1f}", 1))
        rows.append(Row("  warnings, crashes told of", "-", f"{hazards}, {crashes}", 1))
        rows.append(Row("  events lost", "0", f"{lost + summary['lost']}", 1, lost + summary["lost"] == 0))
        for name, samples in (("before kill -9", first), ("after it", second)):
            for key, what, floor in KINDS:
                text, flat = verdict(samples, key, floor)
                rows.append(Row(f"  {what}, {name}", "flat", text, len(samples), flat))
            cpu = (samples[-1]["cpu_s"] - samples[0]["cpu_s"]) / (samples[-1]["s"] - samples[0]["s"])
            rows.append(Row(f"  own CPU, {name}, % of a core", "-", f"{100 * cpu:.1f}", len(samples)))
        raw = {"before": first, "after": second, "churn": churn.counts, "summary": summary, "last_line": last}
    finally:
        context.close()
    return rows, raw
