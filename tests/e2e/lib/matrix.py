"""The matrix: every Go version in every build mode. A racy program is warned of, its twin is not."""
import time

from . import check, fixtures
from .harness import case, expect, say
from .process import Mapwatch, Target

FULL_MODES = {"1.17.13", "1.23.12", fixtures.NEWEST}
# Iterating sides take many operations a round; they crash before anybody can look when they hardly pause.
LONG_OPERATIONS = {"iterate_write", "json", "fmt", "lazy_init", "write_under_rlock", "clone_write", "http", "short_lived"}
# A program that crashes within milliseconds gives no time to warn: the cell asks whether both sides are named when it
# does, the share of runs warned is the bench's to tell.
ATTEMPTS = 12


def racy(context, binary, version, scenario, flags=()):
    """Go may crash before two goroutines ever met in the open; a program that did is started again."""
    for attempt in range(1, ATTEMPTS + 1):
        pace = "2ms" if scenario["name"] in LONG_OPERATIONS else "500us"
        target = context.own(Target(binary, scenario["name"], pace=pace))
        mapwatch = Mapwatch(context, "watch", "-p", target.pid, *flags).attached(target.pid)
        target.release()
        found = None
        end = time.monotonic() + 20
        while found is None and mapwatch.wait_hazard(end - time.monotonic(), lambda h: h["accesses"][1]["stack"]):
            over = not mapwatch.running() or time.monotonic() > end
            found = check.all_hazards(mapwatch.kind("hazard"), scenario, target.pid, version)
            if over:
                break
            if found is None:
                time.sleep(0.02)
        summary = mapwatch.stop()
        found = found or check.all_hazards(mapwatch.kind("hazard"), scenario, target.pid, version)
        expect(summary["lost"] == 0, f"{summary['lost']} events lost")
        expect(summary["hazards"] >= len({h["id"] for h in mapwatch.kind("hazard")}), "summary counts too few hazards")
        fatal = target.fatal()
        target.close()
        if found:
            return
        say(f"  {scenario['name']}, attempt {attempt}: no hazard with both sides named "
            f"({summary['hazards']} hazards, {summary['hits']} hits, {summary['dwells']} dwells; {fatal or 'no crash'})")
    expect(False, f"{scenario['name']}: not warned of, with both sides named, in {ATTEMPTS} runs")


def twin(context, binary, scenario, seconds, flags=()):
    target = context.own(Target(binary, scenario["name"], pace="0"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, *flags).attached(target.pid)
    target.release()
    time.sleep(seconds)
    mapwatch.stop()
    check.silent(mapwatch)
    target.finish()


# The scenarios take turns over the cells, so that each of them runs in many; all of them in all cells would take a day.
IN_QUICK, IN_FULL = 2, 3


def cell(version, mode, number):
    def run(context):
        binary = fixtures.build(version, mode)
        known = fixtures.scenarios(binary)
        names = sorted(name for name, s in known.items() if s["racy"] and not s.get("trap"))
        count = IN_FULL if context.full else IN_QUICK
        names = [names[(number * count + n) % len(names)] for n in range(count)]
        for name in names:
            racy(context, binary, version, known[name])
            twin(context, binary, known[known[name]["twin"]], seconds=3 if context.full else 2)
    return run


def register_cells():
    number = 0
    for mode in ("plain", "pie-stripped", "stripped", "pie", "cgo", "noopt"):
        for version in fixtures.VERSIONS:
            quick = mode in ("plain", "pie-stripped") or version in FULL_MODES
            case(f"matrix/{version}/{mode}", quick=quick, builds=[(version, mode)])(cell(version, mode, number))
            number += 1


register_cells()
