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


class Usage:
    """CPU time of target and mapwatch, up to a moment."""

    def __init__(self, target, own):
        self.when = time.monotonic()
        self.target = cpu.seconds(target)
        self.own = cpu.with_children(own) if own else 0.0


def run_once(bench, name, mode):
    """One program once in one mode: a flat record."""
    context = Context(bench.mapwatch, False)
    try:
        kind = programs.Server if name in programs.SERVERS else programs.Twin
        subject = kind(context, name, mode == "race")
        if kind is programs.Server:
            time.sleep(WARM_UP)
        flags, own = modes.flags_of(mode), None
        if flags is not None:
            own = Mapwatch(context, "watch", "-p", subject.pid, *flags).attached(subject.pid)
        subject.begin()
        start = Usage(subject.pid, own and own.pid)
        time.sleep(bench.settle)
        first = subject.phase("settling")
        middle = Usage(subject.pid, own and own.pid) if first else start
        time.sleep(bench.seconds)
        memory = cpu.resident(subject.pid), cpu.resident(own.pid) if own else 0
        end = Usage(subject.pid, own and own.pid)
        window = subject.phase("window")
        length = end.when - middle.when
        record = {key: window[key] for key in ("ops_per_s", "p50_ns", "p99_ns", "p999_ns", "gc_pause_max_ns")}
        ops = window["ops"] + (first["ops"] if first else 0)
        record.update(load=os.getloadavg()[0], cpus=(end.target - middle.target) / length,
                      own_cpus=(end.own - middle.own) / length, rss=memory[0], own_rss=memory[1],
                      cpu_per_op=(end.target - middle.target) / window["ops"],
                      cpu_per_op_since_attached=(end.target - start.target) / ops)
        subject.unharmed()
        if own:
            said = own.stop()
            record["hits_per_s"] = said["hits"] / (said["duration_ns"] / 1e9)
            record.update({key: said[key] for key in ("target_cost", "hits", "sites", "sites_armed", "armed_share", "hazards", "lost")})
        return record
    finally:
        context.close()


def pairs_of(records, name, mode):
    """(bare, watched) of each round that has both."""
    bare = {r["round"]: r for r in records.of(server=name, mode="bare")}
    return [(bare[r["round"]], r) for r in records.of(server=name, mode=mode) if r["round"] in bare]


def ratios(pairs, figure):
    return [watched[figure] / bare[figure] for bare, watched in pairs if bare[figure] > 0 and watched[figure] > 0]


def ratio(pairs, figure):
    values = ratios(pairs, figure)
    return stats.with_interval(values) if values else "-"


def true_cost(pairs):
    """Share of the target's CPU time that an operation did not take when nobody watched, of each pair."""
    return [1 - 1 / r for r in ratios(pairs, "cpu_per_op_since_attached")]


COLUMNS = [("program", -8), ("mode", -9), ("pairs", 5), ("throughput", 20), ("CPU per operation", 20), ("p50", 5), ("p99", 20),
           ("longest GC pause", 20), ("CPUs", 5), ("own", 6), ("RSS", 5), ("own", 4), ("said", 6), ("true %", 20), ("armed", 9), ("hits/s", 6)]


def line(cells):
    return "  ".join(f"{cell:{'<' if width < 0 else '>'}{abs(width)}}" for cell, (_, width) in zip(cells, COLUMNS)).rstrip()


def table_line(name, mode, pairs):
    def middle(figure):
        return stats.median([watched[figure] for _, watched in pairs])

    watched = modes.flags_of(mode) is not None
    p50 = ratios(pairs, "p50_ns")
    cells = [name, mode, str(len(pairs)), ratio(pairs, "ops_per_s"), ratio(pairs, "cpu_per_op"), f"{stats.median(p50):.2f}",
             ratio(pairs, "p99_ns"), ratio(pairs, "gc_pause_max_ns")]
    if mode == "bare":
        # Absolute figures, for the ratios to be of something.
        cells[3:8] = [f"{middle('ops_per_s'):.0f}/s", f"{middle('cpu_per_op') * 1e6:.2f} us", f"{middle('p50_ns') / 1e3:.3g}",
                      f"{middle('p99_ns') / 1e3:.3g} us", f"{middle('gc_pause_max_ns') / 1e3:.3g} us"]
    cells += [f"{middle('cpus'):.2f}", f"{middle('own_cpus'):.3f}" if watched else "", f"{middle('rss') / 1e6:.0f}",
              f"{middle('own_rss') / 1e6:.0f}" if watched else ""]
    if watched:
        cells += [f"{100 * middle('target_cost'):.2f}", stats.with_interval([100 * c for c in true_cost(pairs)], 2),
                  f"{middle('sites_armed'):.0f}/{middle('sites'):.0f}", f"{middle('hits_per_s'):.0f}"]
    return line(cells)


def table(names, wanted, records):
    """One line for each program and mode. CPUs: of the target and of mapwatch; RSS in MB; said: the charge in %; true %: what
    the target's CPU time for an operation says of it."""
    lines = [line([title for title, _ in COLUMNS])]
    for name in names:
        for mode in wanted:
            pairs = pairs_of(records, name, mode)
            if pairs:
                lines.append(table_line(name, mode, pairs))
    return "\n".join(lines)


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
    said = stats.median([watched["target_cost"] for _, watched in pairs])
    hits = stats.median([watched["hits"] for _, watched in pairs])
    true = true_cost(pairs)
    low_high = stats.interval(true)
    if hits == 0:
        rows.append(Row(f"{name}, {mode}: hits", "> 0", "none: nothing was watched", len(pairs), False))
    # Right when the truth's interval holds what was said, or is at most a tenth of it away.
    right = None if low_high is None else low_high[0] - said / 10 <= said <= low_high[1] + said / 10
    rows.append(Row(f"{name}, {mode}: charged, said and true, %", "said is true",
                    f"{100 * said:.2f}, {stats.with_interval([100 * t for t in true], 2)}", len(true), right))
    hazards = sum(watched["hazards"] for _, watched in pairs)
    if hazards:
        rows.append(Row(f"{name}, {mode}: hazards", "looked into", str(hazards), len(pairs)))
    return rows


def servers(bench):
    """All programs in turn in each round, so that what is cut short has as many rounds of each."""
    names = bench.servers or [*programs.SERVERS, *TWINS]
    wanted = ["bare", *(m for m in bench.modes or modes.ALL if m != "bare")]
    records = Records("servers", bench, settle=bench.settle, seconds=bench.seconds)
    for name in names:  # building is no part of a round
        for race in {mode == "race" for mode in wanted}:
            programs.server_binary(name, race) if name in programs.SERVERS else programs.twin_binary(race)
    for n in range(bench.runs):
        for name in names:
            for mode in wanted[n % len(wanted):] + wanted[:n % len(wanted)]:
                bench.report(f"round {n + 1} of {bench.runs}: {name}, {mode}")
                records.once({"server": name, "mode": mode, "round": n}, lambda: run_once(bench, name, mode))
    bench.report("")
    print(table(names, wanted, records), flush=True)
    rows = []
    for name in names:
        for mode in modes.watched(wanted):
            pairs = pairs_of(records, name, mode)
            if pairs:
                rows += goal_rows(name, mode, pairs)
    return rows, records.all
