"""What is measured. Each section gives rows of the table and raw figures for the file."""
import json
import pathlib
import re
import subprocess
import time

from lib import fixtures
from lib.harness import Context, Failed
from lib.process import Mapwatch, Process, Target, run_to_end

from . import big_program, cpu, freezing, host, odds, races, servers, soak, stats
from .rows import Row

VERSION = fixtures.NEWEST
PLANNER = pathlib.Path(__file__).resolve().parents[3] / "build/tests/planner_bench"
# Scenarios for measuring speed: a lock, a lock for readers, a service, and no lock but copies.
SERVICES = ["write_write_mutex", "write_read_rwmutex", "struct_held_mutex", "http_mutex", "copy_on_write"]


class Bench:
    """The options of a run, and a Context for each measurement."""

    def __init__(self, mapwatch, options, report):
        self.mapwatch, self.runs, self.seconds, self.limit = mapwatch, options.runs, options.seconds, options.limit
        self.servers, self.modes, self.settle = options.server, options.modes, options.settle
        self.resume, self.at_once, self.watched = options.resume, options.at_once, options.watched
        self.minutes, self.report = options.minutes, report
        self.attaching = 0.0  # s that mapwatch took the last time
        self.binary = fixtures.build(VERSION)
        self.scenarios = fixtures.scenarios(self.binary)

    def names(self, racy):
        return sorted(n for n, s in self.scenarios.items() if s["racy"] == racy and not s.get("trap"))

    def measure(self, scenario, attach, pace="0", seconds=None, extra=()):
        """One timed run of a correct scenario: (its measurements, the summary of mapwatch or None).
        attach: "none", "empty" or "mapwatch"; each stands before the first operation."""
        context = Context(self.mapwatch, False)
        try:
            target = context.own(Target(self.binary, scenario, pace=pace, seconds=seconds or self.seconds, extra=extra))
            if attach == "mapwatch":
                watcher = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
            elif attach == "empty":
                watcher = self.empty_probe(context, target.pid)
            target.release()
            if target.wait(60) != 0:
                raise Failed(f"{scenario} ended with {target.child.returncode}: {target.err.text()[-300:]}")
            summary = None
            if attach == "mapwatch":
                watcher.wait(15)
                summary = watcher.summary()
            return json.loads(target.out.text().splitlines()[-1]), summary
        finally:
            context.close()

    def empty_probe(self, context, pid):
        """The empty program at the very sites that mapwatch takes."""
        status, out, err = run_to_end(context, "watch", "-p", pid, "--dry-run", "-o", "json")
        if status != 0:
            raise Failed(f"--dry-run ended with {status}: {err[-300:]}")
        plan = [json.loads(line) for line in out.splitlines()]
        offsets = [str(p["file_offset"]) for p in plan if p["kind"] == "probe" and p["op"] not in ("fatal", "throw")]
        folder = fixtures.ROOT / "build/bench"
        probe = context.own(Process([folder / "empty_probe", folder / "empty.bpf.o", pid, f"/proc/{pid}/exe", *offsets]))
        if not probe.out.wait("^attached$", 10):
            raise Failed(f"empty probe: {probe.err.text()[-300:]}")
        return probe


def ns_per_hit(bench):
    """The same hot loop without a probe, with an empty one, and with mapwatch, in turn."""
    rows, raw = [], {}
    for scenario, what in (("solo", "one goroutine"), ("write_write_mutex", "two goroutines, one mutex")):
        cost = {"none": [], "empty": [], "mapwatch": []}
        for n in range(bench.runs):
            order = list(cost)
            for attach in order[n % 3:] + order[:n % 3]:
                measured, _ = bench.measure(scenario, attach)
                cost[attach].append(1e9 * measured["seconds"] / measured["ops"])
            bench.report(f"ns per hit, {what}: {n + 1} of {bench.runs}")
        empty = [e - b for e, b in zip(cost["empty"], cost["none"])]
        ours = [m - b for m, b in zip(cost["mapwatch"], cost["none"])]
        above = [m / e for m, e in zip(ours, empty)]
        rows.append(Row(f"ns per hit, empty probe ({what})", "-", f"{stats.median(empty):.0f}", bench.runs))
        rows.append(Row(f"ns per hit, mapwatch ({what})", "-", f"{stats.median(ours):.0f}", bench.runs))
        rows.append(Row(f"mapwatch / empty probe ({what})", "<= 1.20", stats.with_interval(above), bench.runs,
                        stats.median(above) <= 1.2))
        raw[scenario] = cost
    return rows, raw


def false_reports(bench):
    """All twins, as fast as they go, until there are 10 million hits (a tenth of a million each in a smoke run)."""
    names = bench.names(racy=False)
    wanted = 10_000_000 if bench.runs >= 10 else 100_000
    hits = hazards = rounds = 0
    raw = {}
    while hits < wanted and rounds < 40:
        rounds += 1
        for name in names:
            _, summary = bench.measure(name, "mapwatch", seconds=max(1, bench.seconds))
            hits += summary["hits"]
            hazards += summary["hazards"]
            raw[name] = raw.get(name, 0) + summary["hits"]
        bench.report(f"false reports: {hits} hits, {hazards} reports")
    return [Row(f"false reports on {len(names)} twins", "0", f"{hazards} in {hits / 1e6:.1f} M hits", rounds * len(names),
                hazards == 0)], raw


def paired(bench, names, figures, pace, extra, what):
    """Ratios with / without of some figures over interleaved pairs: {figure: {name: [ratio]}}."""
    ratios = {figure: {name: [] for name in names} for figure in figures}
    for name in names:
        for n in range(bench.runs):
            got = {}
            for attach in ("none", "mapwatch") if n % 2 else ("mapwatch", "none"):
                got[attach], _ = bench.measure(name, attach, pace=pace, extra=extra)
            for figure in figures:
                if got["none"][figure] > 0:
                    ratios[figure][name].append(got["mapwatch"][figure] / got["none"][figure])
            bench.report(f"{what}, {name}: {n + 1} of {bench.runs} pairs")
    return ratios


def latency(bench):
    """A request every 200 us or so from each goroutine, with the collector at work."""
    figures = {"p50_ns": "p50", "p99_ns": "p99", "p999_ns": "p99.9", "gc_pause_max_ns": "longest GC pause"}
    ratios = paired(bench, SERVICES, figures, "200us", ("-garbage", "200"), "latency")
    rows = []
    for figure, title in figures.items():
        for name, values in ratios[figure].items():
            if values:
                rows.append(Row(f"{title} with / without, {name}", "<= 1.05", stats.with_interval(values), len(values),
                                stats.median(values) <= 1.05))
    return rows, ratios


def own_cost(bench):
    """CPU time of mapwatch while it watches a service at work, without its start, and its memory."""
    shares, memory = [], []
    for n in range(max(2, bench.runs // 4)):
        context = Context(bench.mapwatch, False)
        try:
            target = context.own(Target(bench.binary, "http_mutex", pace="1ms"))
            mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
            target.release()
            time.sleep(1)
            before, start = cpu.seconds(mapwatch.pid), time.monotonic()
            time.sleep(4 * bench.seconds)
            shares.append((cpu.seconds(mapwatch.pid) - before) / (time.monotonic() - start))
            memory.append(mapwatch.stop()["own_rss_bytes"])
        finally:
            context.close()
        bench.report(f"own cost: {n + 1}")
    return [Row("own CPU, share of a core", "<= 0.01", f"{stats.median(shares):.4f}", len(shares), stats.median(shares) <= 0.01),
            Row("own memory, MB", "<= 60", f"{max(memory) / 1e6:.0f}", len(memory), max(memory) <= 60e6)], shares


def throughput(bench):
    """As many operations as there can be: the worst case, as every one of them is a hit until sites are sampled."""
    ratios = paired(bench, SERVICES, ["ops_per_s"], "0", (), "throughput")
    rows = [Row(f"throughput with / without, {name}", ">= 0.99", stats.with_interval(values), len(values), stats.median(values) >= 0.99)
            for name, values in ratios["ops_per_s"].items()]
    paced = paired(bench, ["http_mutex", "write_read_rwmutex"], ["ops_per_s"], "1ms", (), "throughput at a pace of 1 ms")
    rows += [Row(f"throughput with / without at 1 ms, {name}", ">= 0.99", stats.with_interval(values), len(values),
                 stats.median(values) >= 0.99) for name, values in paced["ops_per_s"].items()]
    return rows, {"hot": ratios, "paced": paced}


def attach(bench):
    """From the start of mapwatch until it says that it is attached, on a program of 100 MB that does nothing; and what of
    that is reading the file, planning and attaching, as mapwatch says. The file is in the page cache."""
    binary = big_program.build(VERSION)
    whole, own = [], []
    context = Context(bench.mapwatch, False)
    try:
        target = context.own(Process([binary]))
        if not target.out.wait("^ready$", 30):
            raise Failed(f"the big program did not start: {target.err.text()[-300:]}")
        for n in range(max(5, bench.runs)):
            start = time.monotonic()
            mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
            whole.append(1e3 * (time.monotonic() - start))
            own.append(int(re.search(r"probes in (\d+) ms", mapwatch.err.text()).group(1)))
            mapwatch.stop()
            bench.report(f"attach: {n + 1}")
    finally:
        context.close()
    size = f"{binary.stat().st_size / 1e6:.0f} MB"
    low, high = stats.interval(whole)
    return [Row(f"attach to a Go program of {size}, from exec, ms", "<= 300", f"{stats.median(whole):.0f} [{low:.0f}, {high:.0f}]",
                len(whole), stats.median(whole) <= 300),
            Row("  of that reading, planning, attaching, ms", "-", f"{stats.median(own):.0f}", len(own))], {"whole": whole, "own": own}


def planner(bench):
    """The governor's own time: a tick of each of 200 targets of 5,199 sites, in turn."""
    out = subprocess.run([PLANNER, "--benchmark_format=json", f"--benchmark_repetitions={bench.runs}"],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [b for b in json.loads(out)["benchmarks"] if b["run_type"] == "iteration"]
    rows = []
    for period in sorted({b["name"].split("/")[1] for b in found}):
        values = [b["per_tick"] * 1e6 for b in found if b["name"].split("/")[1] == period]
        sites = stats.median([b["hit_sites"] for b in found if b["name"].split("/")[1] == period])
        rows.append(Row(f"planner, us a tick ({period}, {sites:.0f} sites hit)", "< 100", f"{stats.median(values):.1f}", len(values),
                        stats.median(values) < 100))
    return rows, found


SECTIONS = {"nshit": ns_per_hit, "races": races.races, "false": false_reports, "survival": races.survival, "latency": latency,
            "throughput": throughput, "own": own_cost, "attach": attach, "planner": planner, "freeze": freezing.freeze,
            "servers": servers.servers, "detection": races.detection, "odds": odds.odds, "host": host.host, "siblings": host.siblings,
            "soak": soak.soak}
# Long: measured when it is asked for by name.
BY_NAME = {"soak"}
