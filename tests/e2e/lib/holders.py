"""Who else is on the map of a crash, and who holds it: what the fixture says of itself is the oracle."""
import json
import os
import pathlib
import re
import signal

from .dossier import crashed
from .fixtures import NEWEST, SOURCES, VERSIONS, build
from .freeze import all_stopped
from .harness import case, expect, say, wait_for
from .process import Mapwatch, Process, run_to_end
from .report_page import Page, check_company

ATTEMPTS = 5
SOURCE = (SOURCES / "holders/main.go").read_text().splitlines()


def line_of(text):
    return next(n for n, line in enumerate(SOURCE, 1) if text in line)


def user_frame(stack):
    return next(f for f in stack if f["func"].startswith("main."))


def said(target):
    """What the fixture printed of itself before it was ready."""
    return json.loads(next(line for line in target.out.text().splitlines() if line.startswith("{")))


def read(crash):
    path = pathlib.Path(crash["dossier"] or "")
    expect(crash["dossier"] and path.is_dir(), f"no dossier: {crash['dossier']}")
    company = json.loads((path / "holders.json").read_text())
    check_company(Page((path / "report.html").read_text()), company)
    return company, (path / "report.txt").read_text()


def check_inside(company, know, crash):
    """Nobody is said to be on the map who is not; the crashing goroutine is."""
    expect(company["map"] == know["map"] == crash["map"]["addr"], f"map {company['map']}, it is {know['map']}")
    expect(company["argument_map"] in (None, know["map"]), f"by its arguments it is {company['argument_map']}")
    users = {know["slow"], know["quick"]}
    for one in company["inside"]:
        expect(one["goid"] in users and one["certain"], f"{one} is not on the map")
        expect(one["crashing"] == (one["goid"] == crash["goid"]), f"who crashes? {one}")
    mine = [one for one in company["inside"] if one["crashing"]]
    expect(len(mine) == 1 and mine[0]["op"] == crash["op"], f"the crashing goroutine: {mine}, it does {crash['op']}")
    for one in company["accesses"]:
        expect(one["goid"] in users, f"{one} never used the map")


def check_held(company, know, mode):
    for keeper in know["keepers"]:
        words = [w for w in company["stacks"] if w["goid"] == keeper]
        expect(any("main.keep" in (w["func"], (w["argument"] or {}).get("of")) for w in words),
               f"goroutine {keeper} keeps it in main.keep, found: {words}")
    expect(company["stack_words"] == len(company["stacks"]), "words are missing from the list")
    if mode.endswith("stripped"):
        found = [v for v in company["variables"] if "main.slowPut" in v["used_by"]]
        expect(len(found) == 1 and found[0]["name"] is None, f"main.shared, which main.slowPut uses: {company['variables']}")
    else:
        found = [v for v in company["variables"] if v["name"] == "main.shared"]
        expect(len(found) == 1 and found[0]["offset"] == 0, f"main.shared: {company['variables']}")
    expect(found[0]["section"] in (".bss", ".data"), f"section {found[0]['section']}")
    expect(company["not_searched"] == ["the heap"], f"not searched: {company['not_searched']}")


def check_text(text, know):
    places = [text.find(part) for part in ("CRASH CAPTURED", f"Who else was on map 0x{int(know['map'], 16):012x}",
                                           "\nmap 0x", " goroutines, the crashing one first")]
    expect(-1 not in places and places == sorted(places), f"order of report.txt: {places}")


def check_replay(context, recording, crash):
    """A replay tells what was read of the frozen process, too."""
    _, out, err = run_to_end(context, "replay", recording, "-o", "json")
    told = [one for one in map(json.loads, out.splitlines()) if one["kind"] == "crash"]
    expect(told == [crash], f"replay: {told}, it was {crash}; {err[-300:]}")


def slow_and_quick(context, version, mode, op):
    """The slow writer is in its write when the other goroutine dies of it, but for the moment in which it ends."""
    for attempt in range(ATTEMPTS):
        recording = context.scratch / f"{attempt}.mwrec"
        watched, crash = crashed(context, context.scratch / f"state-{attempt}", "--record", recording,
                                 binary=build(version, mode, "holders"), scenario=op, pace="0")
        check_replay(context, recording, crash)
        know = said(watched.target)
        company, text = read(crash)
        check_inside(company, know, crash)
        check_held(company, know, mode)
        check_text(text, know)
        other = crash["other"]
        expect(other and other["goid"] in {know["slow"], know["quick"]} - {crash["goid"]}, f"the other side: {other}")
        # It may have ended that write before the process stood still: then it is inside its next one, which began after
        # the crash, or between two.
        if crash["goid"] != know["quick"] or other["attribution"] != "inside":
            say(f"  attempt {attempt}: goroutine {crash['goid']} crashed, the other side is {other['attribution']}, "
                f"{other['before_crash_ns']} ns before")
            continue
        frame = user_frame(other["stack"])
        expect(other["op"] == "write" and frame["func"] == "main.slowPut", f"{other['op']} in {frame['func']}")
        expect(frame["line"] == line_of("func slowPut") and frame["file"].endswith("/main.go"), f"place {frame}")
        expect(other["created_by"]["func"] == "main.begin", f"created by {other['created_by']}")
        slow = next(one for one in company["inside"] if one["goid"] == know["slow"])
        expect(slow["op"] == "write" and slow["func"] == "main.slowPut", f"{slow}")
        expect(slow["before_crash_ns"] == other["before_crash_ns"], f"times: {slow} {other['before_crash_ns']}")
        # The scheduler may have taken its thread away as its write called another function: it is runnable then.
        expect(re.search(rf"goroutine {know['slow']} \[runn(ing|able)\b", text),
               f"the other side is not in report.txt: {re.findall('goroutine .*', text)}")
        if context.full:
            say(f"  {version}-{mode}-{op}: the call's arguments {'prove' if company['argument_map'] else 'do not prove'} the map")
        return
    expect(False, f"the writer was never found inside its write in {ATTEMPTS} crashes")


QUICK = {("1.17.13", "plain", "write"), ("1.22.12", "stripped", "read"), ("1.23.12", "noopt", "read"),
         ("1.24.13-noswissmap", "plain", "delete"), ("1.26.8", "pie-stripped", "write"), (NEWEST, "plain", "iterate")}
QUICK_UNSEEN = {("1.22.12", "stripped"), ("1.26.8", "pie-stripped")}


def register():
    cells = [(version, mode, op) for version in VERSIONS for mode in ("plain", "pie-stripped", "noopt")
             for op in ("write", "read", "delete", "iterate")]
    for version, mode, op in sorted(QUICK) + [cell for cell in cells if cell not in QUICK]:
        def run(context, version=version, mode=mode, op=op):
            slow_and_quick(context, version, mode, op)
        case(f"holders/{version}-{mode}-{op}", quick=(version, mode, op) in QUICK, builds=[(version, mode, "holders")])(run)

    cells = [(version, mode) for version in VERSIONS for mode in ("stripped", "pie-stripped", "noopt")]
    for version, mode in sorted(QUICK_UNSEEN) + [cell for cell in cells if cell not in QUICK_UNSEEN]:
        def no_probe(context, version=version, mode=mode):
            unseen(context, version, mode)
        case(f"holders/unseen-{version}-{mode}", quick=(version, mode) in QUICK_UNSEEN,
             builds=[(version, mode, "holders")])(no_probe)


def unseen(context, version, mode):
    """Both goroutines are in their operation before any probe stands: only the stack tells which map they die of."""
    for attempt in range(ATTEMPTS):
        # First in the queue for both CPUs: the two are to be in their writes at the same time.
        target = context.own(Process([build(version, mode, "holders"), "together"], preexec_fn=lambda: os.nice(-20)))
        expect(target.out.wait("^ready$", 60), f"the fixture did not start: {target.err.text()[-400:]}")
        target.child.stdin.write("go\n")
        target.child.stdin.flush()
        if target.out.wait("^in$", 60):
            target.signal(signal.SIGSTOP)
        wait_for("the stop", lambda: all_stopped(target.pid) or not target.running(), 10)
        if not target.running() or "fatal error" in target.err.text():
            say(f"  attempt {attempt}: it crashed before it was stopped")
            target.close()
            continue
        mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--run-dir", context.scratch / "run", "--state-dir",
                            context.scratch / "state").attached(target.pid)
        target.signal(signal.SIGCONT)
        expect(target.wait(120) == 2, f"status {target.child.returncode}: {target.err.text()[-400:]}")
        mapwatch.wait(15)
        if "all goroutines are asleep" in target.err.text():
            say(f"  attempt {attempt}: the two writes came one after the other")
            continue
        know = said(target)
        if not mapwatch.kind("crash"):
            say(f"  attempt {attempt}: it was stopped behind the probe of Go's fatal path")
            continue
        crash = mapwatch.kind("crash")[0]
        expect(crash["map"]["addr"] == know["map"], f"map {crash['map']}, it is {know['map']}")
        if not crash["map_by_arguments"]:
            say(f"  attempt {attempt}: it was stopped before its write began, and a probe saw it")
            continue
        expect(crash["map"]["type"] == "map[string]int", f"type {crash['map']['type']}")
        company, text = read(crash)
        expect(company["map_source"] == "arguments", f"source {company['map_source']}")
        check_inside(company, know, crash)
        check_held(company, know, mode)
        other = crash["other"]
        expect(other and other["attribution"] == "inside", f"the other side: {other}")
        expect(other["goid"] == sum({know["slow"], know["quick"]} - {crash["goid"]}), f"goroutine {other['goid']}")
        expect(user_frame(other["stack"])["func"] == "main.slowPut", f"{other['stack']}")
        expect((pathlib.Path(crash["dossier"]) / "maps.json").exists(), "the map itself was not read")
        expect("no probe saw this operation begin" in text, "report.txt does not say how the map is known")
        return
    expect(False, f"it was never stopped in the middle in {ATTEMPTS} attempts")


register()
