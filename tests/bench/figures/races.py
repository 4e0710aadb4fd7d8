"""Racy programs: are they warned of, before they crash, how long before; and do they live as long as when nobody watches."""
import subprocess
import time

from lib.harness import Context
from lib.process import Mapwatch, Target

from . import modes, stats
from .records import Records
from .rows import Row

PACES = ["0", "10us", "100us", "1ms", "10ms"]
DETECTION_PACES = ["0", "100us", "1ms", "10ms"]
# Accesses that are this far apart are what the goals are for.
HUMAN = ("100us", "1ms", "10ms")


def run_once(bench, scenario, pace, flags, until_warned=False, watched_s=0.0):
    """One run of a racy scenario, watched with these flags (None: not): {"seconds", "crashed", "warned", "before", "lead"}.
    until_warned: it ends with the first warning, which makes it one that was warned of before its crash. watched_s: how long
    it has been watched when the race begins."""
    context = Context(bench.mapwatch, False)
    try:
        target = context.own(Target(bench.binary, scenario, pace=pace))
        if flags is not None:
            mapwatch = Mapwatch(context, "watch", "-p", target.pid, *flags).attached(target.pid, seconds=60)
            time.sleep(watched_s)
        start = time.monotonic()
        target.release()
        if until_warned:
            mapwatch.wait_hazard(bench.limit)
        else:
            try:
                target.child.wait(bench.limit)
            except subprocess.TimeoutExpired:
                pass
        result = {"scenario": scenario, "pace": pace, "seconds": min(time.monotonic() - start, bench.limit),
                  "crashed": not target.running(), "warned": False, "before": False, "lead": None}
        if flags is not None:
            mapwatch.stop()
            hazards, crashes = mapwatch.kind("hazard"), mapwatch.kind("crash")
            result["warned"] = bool(hazards)
            result["crashed"] |= bool(crashes)  # one that stands frozen still runs
            if hazards and crashes:
                lead = crashes[0]["time_ns"] - min(h["printed_ns"] for h in hazards)
                result["before"], result["lead"] = lead > 0, lead / 1e9 if lead > 0 else None
            elif hazards:
                result["before"] = not result["crashed"]  # a crash that was not seen cannot be called forewarned
            summary = mapwatch.summary()
            result.update(hits=summary["hits"], target_cost=summary["target_cost"])
        return result
    finally:
        context.close()


def percent(share):
    return f"{100 * share:.0f} %"


def share(part, whole):
    """A share with its interval and counts."""
    low, high = stats.share_interval(part, whole)
    return f"{percent(part / whole)} [{percent(low)}, {percent(high)}] {part}/{whole}"


def races(bench):
    """Every racy scenario in turn at each pace: warned of? before the crash? how long before?"""
    rows, raw, everything = [], [], []
    names = bench.names(racy=True)
    for index, pace in enumerate(PACES):
        results = []
        for n in range(bench.runs):
            results.append(run_once(bench, names[(n + index * bench.runs) % len(names)], pace, []))
            bench.report(f"races at {pace}: {n + 1} of {bench.runs}")
        raw += results
        everything += results
        warned = sum(r["warned"] for r in results)
        crashed = [r for r in results if r["crashed"]]
        before = [r for r in crashed if r["before"]]
        slow = pace in HUMAN
        rows.append(Row(f"racy runs warned of, pace {pace}", ">= 95 % over all", percent(warned / len(results)), len(results)))
        rows.append(Row(f"  crashes warned of beforehand, pace {pace}", ">= 95 %" if slow else "-",
                        percent(len(before) / len(crashed)) if crashed else "no crash", len(crashed),
                        len(before) >= 0.95 * len(crashed) if slow and crashed else None))
        leads = [r["lead"] for r in before]
        rows.append(Row(f"  median lead, pace {pace}", ">= 1 s" if slow else "-",
                        f"{stats.median(leads):.4f} s" if leads else "-", len(leads),
                        stats.median(leads) >= 1 if slow and leads else None))
    warned = sum(r["warned"] for r in everything)
    rows.append(Row("racy runs warned of, all paces", ">= 95 %", share(warned, len(everything)), len(everything),
                    warned >= 0.95 * len(everything)))
    return rows, raw


def detection(bench):
    """What a budget costs in detection: the same racy scenario at the same pace in each mode, in turn. A run ends at its
    first warning, at its crash, or at the limit; only one that was warned of before it crashed counts."""
    wanted = modes.watched(bench.modes or modes.ALL)
    names = bench.names(racy=True)
    records = Records("detection", bench, limit=bench.limit, watched=bench.watched)
    for n in range(bench.runs):
        scenario = names[n % len(names)]
        for pace in DETECTION_PACES:
            for mode in wanted[n % len(wanted):] + wanted[:n % len(wanted)]:
                bench.report(f"detection, round {n + 1} of {bench.runs}: {scenario} at {pace}, {mode}")
                records.once({"mode": mode, "pace": pace, "round": n},
                             lambda: run_once(bench, scenario, pace, modes.flags_of(mode), until_warned=True,
                                              watched_s=bench.watched))
    rows = []
    for mode in wanted:
        for pace in DETECTION_PACES:
            runs = records.of(mode=mode, pace=pace)
            if not runs:
                continue
            rows.append(Row(f"warned within {bench.limit:.0f} s and before a crash, {mode}, pace {pace}", "-",
                            share(sum(r["before"] for r in runs), len(runs)), len(runs)))
            rows.append(Row("  crashed without a warning / neither / median s until it was over", "-",
                            f"{sum(r['crashed'] and not r['before'] for r in runs)} / "
                            f"{sum(not r['crashed'] and not r['warned'] for r in runs)} / "
                            f"{stats.median([r['seconds'] for r in runs]):.2f}", len(runs)))
        slow = [r for r in records.of(mode=mode) if r["pace"] in HUMAN]
        if not slow:
            continue
        seen = sum(r["before"] for r in slow)
        rows.append(Row(f"warned within {bench.limit:.0f} s and before a crash, {mode}, 100 us to 10 ms",
                        ">= 95 %" if mode in (modes.GOAL, "full") else "-", share(seen, len(slow)), len(slow),
                        seen >= 0.95 * len(slow) if mode in (modes.GOAL, "full") else None))
    return rows, records.all


def survival(bench):
    """The same racy programs without mapwatch and with it in each mode, in turn: does watching kill?"""
    wanted = modes.watched(bench.modes or [modes.GOAL, "full"])
    sides = ["bare", *wanted]
    names = ["write_write", "write_read", "struct_key", "delete_write"]
    rounds = 2 * bench.runs
    records = Records("survival", bench, limit=bench.limit)
    for n in range(rounds):
        name = names[n % len(names)]
        for mode in sides[n % len(sides):] + sides[:n % len(sides)]:
            records.once({"mode": mode, "round": n}, lambda: run_once(bench, name, "100us", modes.flags_of(mode)))
        bench.report(f"survival: {n + 1} of {rounds} rounds")
    lives = {mode: {name: [(r["seconds"], r["crashed"]) for r in records.of(mode=mode, scenario=name)] for name in names}
             for mode in sides}
    rounds = max(len(records.of(mode=mode)) for mode in sides)
    rows = []
    medians = {mode: stats.kaplan_meier_median([life for each in lives[mode].values() for life in each]) for mode in sides}
    for mode in wanted:
        p, observed, expected = stats.log_rank([(lives[mode][name], lives["bare"][name]) for name in names])
        ratio = medians[mode] / medians["bare"] if medians[mode] and medians["bare"] else None
        both = " / ".join(f"> {bench.limit:.0f} s" if medians[side] is None else f"{medians[side]:.2f} s" for side in (mode, "bare"))
        rows += [Row(f"survival, {mode}: log-rank p (with vs without)", "> 0.05, or fewer deaths",
                     f"{p:.3f}, {observed:.0f} deaths for {expected:.1f}", 2 * rounds, p > 0.05 or observed < expected),
                 Row(f"survival, {mode}: medians with / without", ">= 0.8", (f"{ratio:.2f}" if ratio else "-") + f" ({both})",
                     2 * rounds, ratio >= 0.8 if ratio else None)]
    return rows, records.all
