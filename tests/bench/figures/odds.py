"""Is it true how long mapwatch says that it takes until a race is seen? Programs whose two goroutines come by at a pace, each on
a map of its own; when top has told of their sites for a while they begin to race, on one map, by the same sites: from then to the
first warning, beside what top said just before."""
import json
import time

from lib.harness import Context, Failed
from lib.process import Mapwatch, Target

from . import modes, stats
from .records import Records
from .rows import Row

# Both sides work alike, one goroutine each.
SCENARIOS = ["write_write", "write_read", "struct_key", "delete_write"]
PACES = ["1ms", "3ms", "10ms"]
MODES = ["auto-1", "full"]
WITHIN = 2
# By then call sites have taken the place of functions, rates are of some seconds, and what the start cost is paid.
SETTLED_S = 6.0
# What is said is of a moment's plan, which changes within a second: it is taken as that of the last so many looks.
LOOKS = 15


def told(scenario, target):
    """What a line of top says of this race, s: of the rarer of its two sites, or of the function that both use. None: nothing
    yet; inf: never."""
    places = [p for p in target.get("places", []) if p["ops_per_s"] > 0]
    if target["by_calls"]:
        of = [max((p for p in places if p["func"] == func), key=lambda p: p["ops_per_s"], default=None) for func in scenario["funcs"]]
    else:
        of = [max(places, key=lambda p: p["ops_per_s"], default=None)]
    times = [float("inf") if p["never"] else p["detect_ns"] and p["detect_ns"] / 1e9 for p in of if p]
    return max(times) if len(times) == len(of) and None not in times else None


def of_all(times):
    """Of times to an event, each told of another moment: how often it happens is what adds up. None: nothing was told."""
    rates = [1 / time if time > 0 else float("inf") for time in times]
    return (len(rates) / sum(rates) if sum(rates) else float("inf")) if rates else None


def run_once(bench, name, pace, flags):
    """{"seconds" from the race's begin to the first warning or until it was over without one, "warned", "crashed", "predicted":
    what was said in the last looks before it began}."""
    context = Context(bench.mapwatch, False)
    try:
        target = context.own(Target(bench.binary, name, pace=pace, extra=("-apart",)))
        top = Mapwatch(context, "top", "-p", target.pid, "-i", "200ms", *flags).attached(target.pid, seconds=60)
        target.release()
        time.sleep(SETTLED_S)  # what is told is to be of so long a time
        if top.objects():
            raise Failed(f"{name}: a finding before the race began: {top.objects()[0]}")
        with top.out.changed:
            lines = list(top.out.lines)
        of = [told(bench.scenarios[name], line) for line in map(json.loads, lines) if line["kind"] == "target"]
        said = of_all([time for time in of[-LOOKS:] if time is not None])
        start = time.monotonic()
        target.race()
        while target.running() and top.running() and not top.objects() and time.monotonic() - start < bench.limit:
            time.sleep(0.002)
        over = time.monotonic() - start
        found = top.kind("hazard")
        top.stop()
        return {"scenario": name, "pace": pace, "seconds": found[0]["time_ns"] / 1e9 - start if found else over,
                "warned": bool(found), "predicted": said, "crashed": bool(top.kind("crash")) or not target.running()}
    finally:
        context.close()


def rate_time(runs):
    """Mean time to an event of which some runs did not see one: all time by all events (censored exponential)."""
    events = sum(r["warned"] for r in runs)
    return sum(r["seconds"] for r in runs) / events if events else float("inf")


def predicted(runs):
    """Of those of which something was said."""
    said = [r["predicted"] for r in runs if r["predicted"] is not None]
    return stats.mean(said) if said else float("inf")


def odds(bench):
    """Predicted by measured time to the first warning, by pace and mode, over the scenarios in turn."""
    wanted = modes.watched(bench.modes or MODES)
    records = Records("odds", bench, limit=bench.limit)
    for n in range(bench.runs):
        name = SCENARIOS[n % len(SCENARIOS)]
        for pace in PACES:
            for mode in wanted[n % len(wanted):] + wanted[:n % len(wanted)]:
                bench.report(f"odds, round {n + 1} of {bench.runs}: {name} at {pace}, {mode}")
                records.once({"mode": mode, "pace": pace, "round": n}, lambda: run_once(bench, name, pace, modes.flags_of(mode)))
    rows = []
    for mode in wanted:
        for pace in PACES:
            runs = records.of(mode=mode, pace=pace)
            if all(r["predicted"] is None for r in runs):
                continue
            if not any(r["warned"] for r in runs):
                rows.append(Row(f"time to a warning, predicted / measured, {mode}, pace {pace}", f"within {WITHIN} x",
                                f"no warning in {sum(r['seconds'] for r in runs):.0f} s, said {predicted(runs):.2f} s", len(runs)))
                continue
            ratio = predicted(runs) / rate_time(runs)
            between = stats.interval(runs, lambda some: predicted(some) / rate_time(some))
            shown = f"{ratio:.2f}" + (f" [{between[0]:.2f}, {between[1]:.2f}]" if between else "")
            rows.append(Row(f"time to a warning, predicted / measured, {mode}, pace {pace}", f"within {WITHIN} x", shown, len(runs),
                            1 / WITHIN <= ratio <= WITHIN))
            rows.append(Row("  s predicted / measured; warned / crashed first / neither", "-",
                            f"{predicted(runs):.2f} / {rate_time(runs):.2f}; {sum(r['warned'] for r in runs)} / "
                            f"{sum(r['crashed'] and not r['warned'] for r in runs)} / "
                            f"{sum(not r['crashed'] and not r['warned'] for r in runs)}", len(runs)))
    return rows, records.all
