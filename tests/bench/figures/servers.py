"""What it costs to be watched: real servers under load and twins, bare and in each mode, in interleaved rounds.

A run: the program works, mapwatch attaches, `settle` seconds later the measured window begins. Ratios are to the bare run of
the same round. What mapwatch says it charged is set beside what the target's CPU time for an operation says, both from the
moment that it was attached.
"""
import os
import time

from lib.harness import Context
from lib.process import Mapwatch

from . import cpu, modes, programs, stats
from .records import Records
from .rows import Row

TWINS = ["http_mutex", "write_read_rwmutex@200us", "struct_held_mutex"]
WARM_UP = 0.7


class Run:
    """A program at work, in one mode."""

    def __init__(self, bench, context, name, mode):
        self.bench, self.context, self.flags, self.own = bench, context, modes.flags_of(mode), None
        kind = programs.Server if name in programs.SERVERS else programs.Twin
        self.subject = kind(context, name, mode == "race")

    def attach(self):
        if self.flags is None:
            time.sleep(self.bench.attaching)  # so that programs are as old in every mode
            return
        began = time.monotonic()
        self.own = Mapwatch(self.context, "watch", "-p", self.subject.pid, *self.flags)
        self.own.attached(self.subject.pid, seconds=60)
        self.bench.attaching = time.monotonic() - began

    def settled(self):
        self.first = self.subject.phase("settling")
        self.began, self.own_began = time.monotonic(), self.own_cpu()

    def own_cpu(self):
        return cpu.with_children(self.own.pid) if self.own else 0.0

    def end(self):
        """The record of the run."""
        length, own_cpu = time.monotonic() - self.began, self.own_cpu() - self.own_began
        memory = cpu.resident(self.subject.pid), cpu.resident(self.own.pid) if self.own else 0
        window = self.subject.phase("window")
        first = self.first or {"ops": 0, "cpu_s": 0.0}
        record = {key: window[key] for key in ("ops_per_s", "p50_ns", "p99_ns", "p999_ns", "gc_pause_max_ns")}
        record.update(load=os.getloadavg()[0], cpus=window["cpu_s"] / window["seconds"], own_cpus=own_cpu / length, rss=memory[0],
                      own_rss=memory[1], cpu_per_op=window["cpu_s"] / window["ops"], since_attached_s=first["cpu_s"] + window["cpu_s"],
                      since_attached_ops=first["ops"] + window["ops"])
        record["since_attached_per_op"] = record["since_attached_s"] / record["since_attached_ops"]
        self.subject.unharmed()
        if self.own:
            said = self.own.stop()
            record["hits_per_s"] = said["hits"] / (said["duration_ns"] / 1e9)
            record.update({key: said[key] for key in ("target_cost", "ns_per_hit", "hits", "dwells", "sites", "sites_armed",
                                                      "armed_share", "hazards", "lost")})
        return record


def run_at_once(bench, name, *sides):
    """A program in these modes at the same time: their records."""
    context = Context(bench.mapwatch, False)
    try:
        runs = [Run(bench, context, name, mode) for mode in sides]
        if name in programs.SERVERS:
            time.sleep(WARM_UP)
        for each in sorted(runs, key=lambda run: run.flags is None):  # a bare one waits as long as the other one took
            each.attach()
        for each in runs:
            each.subject.begin()
        time.sleep(bench.settle)
        for each in runs:
            each.settled()
        time.sleep(bench.seconds)
        return [each.end() for each in runs]
    finally:
        context.close()


def beside_bare(bench, name, mode, bare_first):
    """A program in a mode and bare, at the same time, started in this order: the record holds that of the bare one."""
    sides = ("bare", mode) if bare_first else (mode, "bare")
    found = dict(zip(sides, run_at_once(bench, name, *sides)))
    return dict(found[mode], bare=found["bare"])


def pairs_of(records, name, mode):
    """(bare, this mode) of each round that has both."""
    if mode == "bare":
        found = records.of(server=name, mode="bare") or [r["bare"] for r in records.of(server=name) if "bare" in r]
        return [(r, r) for r in found]
    bare = {r["round"]: r for r in records.of(server=name, mode="bare")}
    pairs = [(r.get("bare") or bare.get(r["round"]), r) for r in records.of(server=name, mode=mode)]
    return [pair for pair in pairs if pair[0]]


def ratios(pairs, figure):
    return [watched[figure] / bare[figure] for bare, watched in pairs if bare[figure] > 0 and watched[figure] > 0]


def true_cost(pairs):
    """Share of the target's CPU time that an operation did not take when nobody watched, of each pair."""
    return [1 - 1 / r for r in ratios(pairs, "since_attached_per_op")]


def ns_per_hit(pairs):
    """(said, true) for each pair: what was charged, and what an operation took longer, for each hit."""
    said, true = [], []
    for bare, watched in pairs:
        if watched["hits"] > 0:
            more = watched["since_attached_per_op"] - bare["since_attached_per_op"]
            said.append(1e9 * watched["target_cost"] * watched["since_attached_s"] / watched["hits"])
            true.append(1e9 * more * watched["since_attached_ops"] / watched["hits"])
    return said, true


FELT = [("program", -24), ("mode", -8), ("pairs", 5), ("throughput", 20), ("CPU per operation", 20), ("p50", 5), ("p99", 17),
        ("longest GC pause", 17)]
TAKEN = [("program", -24), ("mode", -8), ("CPUs", 5), ("own", 6), ("RSS", 4), ("own", 4), ("armed", 9), ("seen", 5), ("hits/s", 7),
         ("charged", 7), ("true", 17), ("ns/hit", 6), ("true", 17)]


def line(columns, cells):
    return "  ".join(f"{cell:{'<' if width < 0 else '>'}{abs(width)}}" for cell, (_, width) in zip(cells, columns)).rstrip()


def median_of(pairs, figure):
    return stats.median([watched[figure] for _, watched in pairs])


def felt(name, mode, pairs):
    """What the program and its users feel: ratios, and of the bare run absolute figures for them to be ratios of."""
    cells = [name, mode, str(len(pairs))]
    if mode == "bare":
        micro = [f"{median_of(pairs, figure) / 1e3:.3g}" for figure in ("p50_ns", "p99_ns", "gc_pause_max_ns")]
        return cells + [f"{median_of(pairs, 'ops_per_s'):.0f}/s", f"{median_of(pairs, 'cpu_per_op') * 1e6:.2f} us", micro[0],
                        micro[1] + " us", micro[2] + " us"]
    digits = [("ops_per_s", 3), ("cpu_per_op", 3), ("p50_ns", 2), ("p99_ns", 2), ("gc_pause_max_ns", 2)]
    values = [(ratios(pairs, figure), places) for figure, places in digits]
    cells += [stats.with_interval(found, places) if found else "-" for found, places in values]
    cells[5] = cells[5].split()[0]
    return cells


def taken(name, mode, pairs):
    """What it takes, and what mapwatch says of that."""
    cells = [name, mode, f"{median_of(pairs, 'cpus'):.2f}", "", f"{median_of(pairs, 'rss') / 1e6:.0f}"]
    if modes.flags_of(mode) is None:
        return cells
    said, true = ns_per_hit(pairs)
    # A twin ends before mapwatch does, and then none of its sites is.
    armed = f"{median_of(pairs, 'sites_armed'):.0f}/{median_of(pairs, 'sites'):.0f}" if name in programs.SERVERS else "-"
    cells[3] = f"{median_of(pairs, 'own_cpus'):.3f}"
    return cells + [f"{median_of(pairs, 'own_rss') / 1e6:.0f}", armed, f"{100 * median_of(pairs, 'armed_share'):.1f}",
                    f"{median_of(pairs, 'hits_per_s'):.0f}", f"{100 * median_of(pairs, 'target_cost'):.2f}",
                    stats.with_interval([100 * c for c in true_cost(pairs)], 1), f"{stats.median(said):.0f}" if said else "-",
                    stats.with_interval(true, 0) if true else "-"]


def table(names, wanted, records):
    """Two halves with a line for each program and mode. CPUs of the target and of mapwatch, RSS in MB; armed: sites at the
    end; seen: share of operations, in %; charged: what mapwatch says that the target paid, in % of its CPU time, and what the
    CPU time of an operation says."""
    found = [(name, mode, pairs_of(records, name, mode)) for name in names for mode in wanted]
    lines = []
    for columns, cells in ((FELT, felt), (TAKEN, taken)):
        lines.append(line(columns, [title for title, _ in columns]))
        lines += [line(columns, cells(*each)) for each in found if each[2]]
        lines.append("")
    return "\n".join(lines)


def verdict(said, true):
    """Is the truth's interval, within a tenth of what was said, about what was said? One wider than two points and than a fifth of
    that can show that it is wrong, but not that it is right: None."""
    if true is None:
        return None
    low, high = true
    if not low - said / 10 <= said <= high + said / 10:
        return False
    return True if high - low <= max(0.02, said / 5) else None


def goal_rows(name, mode, pairs):
    """The goals of a program in a mode, and whether what mapwatch says of the cost is so."""
    rows = []
    if mode == modes.GOAL:
        values = ratios(pairs, "ops_per_s")
        low_high = stats.interval(values)
        rows.append(Row(f"{name}, {mode}: throughput with / without", ">= 0.99, low > 0.97", stats.with_interval(values),
                        len(values), low_high and stats.median(values) >= 0.99 and low_high[0] > 0.97))
        for figure, title in (("p99_ns", "p99"), ("gc_pause_max_ns", "longest GC pause")):
            values = ratios(pairs, figure)
            if values:
                rows.append(Row(f"  {title} with / without", "<= 1.05", stats.with_interval(values), len(values),
                                stats.median(values) <= 1.05))
    # A figure of a program in which nothing is watched says nothing.
    if median_of(pairs, "hits") == 0:
        rows.append(Row(f"{name}, {mode}: hits", "> 0", "none", len(pairs), False))
    if name in programs.SERVERS and median_of(pairs, "sites_armed") == 0:
        rows.append(Row(f"{name}, {mode}: sites armed at the end", "> 0", f"none of {median_of(pairs, 'sites'):.0f}", len(pairs), False))
    said, true = median_of(pairs, "target_cost"), true_cost(pairs)
    rows.append(Row(f"{name}, {mode}: charged, said and true, %", "said is true",
                    f"{100 * said:.2f}, {stats.with_interval([100 * t for t in true], 2)}", len(true), verdict(said, stats.interval(true))))
    hazards = sum(watched["hazards"] for _, watched in pairs)
    if hazards:
        rows.append(Row(f"{name}, {mode}: hazards", "looked into", str(hazards), len(pairs)))
    return rows


def servers(bench):
    """All programs in turn in each round, so that what is cut short has as many rounds of each."""
    names = bench.servers or [*programs.SERVERS, *TWINS]
    wanted = ["bare", *(m for m in bench.modes or modes.ALL if m != "bare")]
    records = Records("servers", bench, settle=bench.settle, seconds=bench.seconds, at_once=bench.at_once)
    for name in names:  # building is no part of a round
        for race in {mode == "race" for mode in wanted}:
            programs.server_binary(name, race) if name in programs.SERVERS else programs.twin_binary(race)
    for n in range(bench.runs):
        for name in names:
            for mode in wanted[n % len(wanted):] + wanted[:n % len(wanted)]:
                bench.report(f"round {n + 1} of {bench.runs}: {name}, {mode}")
                if not bench.at_once:
                    records.once({"server": name, "mode": mode, "round": n}, lambda: run_at_once(bench, name, mode)[0])
                elif mode != "bare":
                    records.once({"server": name, "mode": mode, "round": n}, lambda: beside_bare(bench, name, mode, n % 2))
    bench.report("")
    print(table(names, wanted, records), flush=True)
    rows = []
    for name in names:
        for mode in modes.watched(wanted):
            pairs = pairs_of(records, name, mode)
            if pairs:
                rows += goal_rows(name, mode, pairs)
    return rows, records.all
