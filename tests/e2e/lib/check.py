"""What a finding must say to be right, checked against the fixture's sources."""
import re

from .fixtures import SOURCES
from .harness import Failed, expect


def read_functions():
    """Name as a traceback writes it -> (file, first line, last line), of the fixture's functions."""
    functions = {}
    for path in sorted((SOURCES / "race").glob("*.go")):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            found = re.match(r"func (?:\(\w+ (\*?)(\w+)(\[[^]]*\])?\) )?(\w+)(\[[^]]*\])?\(", line)
            if not found:
                continue
            star, receiver, receiver_types, name, types = found.groups()
            if receiver:
                holder = receiver + ("[...]" if receiver_types else "")
                full = f"main.({star}{holder}).{name}" if star else f"main.{holder}.{name}"
            else:
                full = "main." + name + ("[...]" if types else "")
            last = number if line.endswith("}") else lines.index("}", number) + 1
            functions[full] = (path.name, number, last)
    return functions


FUNCTIONS = read_functions()


def user_frame(access):
    """The innermost frame of package main: the function that touched the map."""
    return next((f for f in access["stack"] if f["func"].startswith("main.")), None)


def named(access, scenario):
    """The expected function of this side; None when the side is honestly unknown. A wrong name fails."""
    if not access["stack"]:
        expect(access.get("attribution") in ("unknown", "last_writer"), "a side with an empty stack says it is observed")
        return None
    frame = user_frame(access)
    if frame is None:
        # One frame of the last writer may be a function of the standard library (encoding/json, reflect).
        expect(access.get("attribution") != "observed", f"no frame of package main in {access['stack']}")
        return None
    expect(frame["func"] in scenario["funcs"], f"{frame['func']} is none of {scenario['funcs']}")
    ops = dict(zip(scenario["funcs"], scenario["ops"]))[frame["func"]].split(",")
    expect(access["op"] in ops, f"{frame['func']} does {ops}, not {access['op']}")
    file, first, last = FUNCTIONS[frame["func"]]
    expect(frame["file"].split("/")[-1] == file, f"{frame['func']} is in {file}, not {frame['file']}")
    expect(first <= frame["line"] <= last, f"{frame['func']} is {file}:{first}-{last}, not line {frame['line']}")
    expect(frame["pc"].startswith("0x"), f"pc {frame['pc']}")
    return frame["func"]


def hazard(finding, scenario, target_pid, version):
    """Checks one hazard; true when both sides are named."""
    one, two = finding["accesses"]
    expect(re.fullmatch(r"mw-[0-9a-f]{8}", finding["id"]), f"id {finding['id']}")
    expect((finding["severity"], finding["evidence"]) in (("proven", "watch"), ("imminent", "mark")),
           f"severity {finding['severity']} by evidence {finding['evidence']}")
    expect(finding["count"] >= 1, "count")
    expect(finding["printed_ns"] >= finding["time_ns"] > 0, "printed before it happened")
    expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", finding["time"]), f"time {finding['time']}")
    process = finding["process"]
    expect(process["pid"] == target_pid, f"pid {process['pid']}, not {target_pid}")
    expect(process["go"].split()[0] == "go" + version.split("-")[0], f"go {process['go']}, not {version}")
    expect(finding["map"]["addr"].startswith("0x"), f"map address {finding['map']['addr']}")
    if finding["map"]["type"] or one["op"] != "iterate":
        # Go 1.18 and 1.19 pass generic code a shape's type, and nothing at the call tells the instance.
        shaped = version.startswith(("1.18.", "1.19.")) and "go.shape." in (finding["map"]["type"] or "")
        expect(shaped or finding["map"]["type"] == scenario["map_type"],
               f"map type '{finding['map']['type']}', not '{scenario['map_type']}'")
    if one["goid"] and two["goid"]:
        expect(one["goid"] != two["goid"], f"both sides are goroutine {one['goid']}")
    expect(one["goid"] > 0, "goid of the observed side is 0")
    expect({one["op"], two["op"]} - {"read", "iterate", "clone"}, f"no side writes: {one['op']}, {two['op']}")
    names = [named(one, scenario), named(two, scenario)]
    expect(names[0] is not None, "the observed side is not named")
    if scenario["strict"] and names[1]:
        expect(names[0] != names[1], f"both sides are {names[0]}, which only one goroutine runs")
    maker = one.get("created_by")
    expect(maker and maker["func"] and maker["line"] > 0, f"created_by {maker}")
    return None not in names


def all_hazards(findings, scenario, target_pid, version):
    """Checks every hazard; the first that names both sides."""
    complete = None
    for finding in findings:
        try:
            if hazard(finding, scenario, target_pid, version) and complete is None:
                complete = finding
        except Failed as why:
            raise Failed(f"{why}; in {finding}") from None
    return complete


def silent(mapwatch, hits=1000):
    """The log of a finished mapwatch over correct programs: no finding, nothing lost, and it did look."""
    hazards, crashes = mapwatch.kind("hazard"), mapwatch.kind("crash")
    expect(not hazards, f"FALSE REPORT, {len(hazards)} in all, the first: {hazards[:1]}")
    expect(not crashes, f"crash reported: {crashes[:1]}")
    summary = mapwatch.summary()
    expect(summary["hits"] >= hits, f"only {summary['hits']} hits: it watched nothing")
    expect(summary["hazards"] == 0, f"summary says {summary['hazards']} hazards and there is none")
    expect(summary["lost"] == 0, f"{summary['lost']} events lost")
    return summary
