"""mapwatch dump shows the maps that goroutines are inside of, against what the program knows of them."""
import json
import os
import pathlib
import re
import resource

from . import fixtures
from .dump import dump
from .harness import Skipped, case, expect
from .maps import boxes
from .process import Process

NEWEST = fixtures.NEWEST
CELLS = [("1.17.13", "plain"), ("1.18.10", "pie-stripped"), ("1.20.14", "plain"), ("1.23.12", "stripped"),
         ("1.24.13-noswissmap", "plain"), ("1.24.13", "plain"), (NEWEST, "plain"), (NEWEST, "pie-stripped")]
OPS = {"read": "read", "written": "write"}
LONG = ["--max-freeze", "60s"]  # nothing is left out for want of time on a busy machine
TRIES = 100  # a goroutine is between two operations at one look in ten


def maps_of(output):
    return [o for o in map(json.loads, output.splitlines()) if o["kind"] == "map"]


def sound(truths, shown):
    """One map as dump shows it: the program's own, used as the program uses it, and found sound."""
    truth = truths.get(shown["address"])
    expect(truth, f"no map of the program is at {shown['address']}: {sorted(truths)}")
    expect([user["op"] for user in shown["users"]] == [OPS[truth["name"]]], f"{truth['name']} is used: {shown['users']}")
    expect(shown["unread"] is None, f"{truth['name']} was not read: {shown['unread']}")
    for key in ("type_address", "type"):
        expect(shown[key] == truth[key], f"{truth['name']}: {key} is {shown[key]}, not {truth[key]}")
    expect(shown["header"]["count"] == shown["entries_found"] == truth["count"], f"{truth['name']}: {shown['header']}")
    expect(not shown["findings"] and not shown["partial"], f"{truth['name']}: {shown['findings']} {shown['partial']}")
    return truth["name"]


def in_use(context, version, mode):
    target, truths = boxes(context, version, "busy", mode)
    truths = {truth["address"]: truth for truth in truths}
    seen = set()
    for _ in range(TRIES):
        out, _ = dump(context, "-p", target.pid, *LONG, "-o", "json")
        shown = maps_of(out)
        expect(json.loads(out.splitlines()[0])["maps"] == len(shown), "the count of maps")
        for one in shown:
            seen.add(sound(truths, one))
            expect(one["entries"] == [], f"keys without --show-keys: {one['entries'][:1]}")
        if seen == set(OPS):
            break
    expect(seen == set(OPS), f"in {TRIES} looks only {seen} were found in use")
    expect(target.running(), "the process did not live through it")


def register():
    for version, mode in CELLS:
        def run(context, version=version, mode=mode):
            in_use(context, version, mode)
        case(f"dump/maps-{version}-{mode}", builds=[(version, mode, "mapbox")])(run)


register()


@case("dump/maps-keys", builds=[(NEWEST, "plain", "mapbox")])
def keys(context):
    """Keys and values are shown when they are asked for, and only their shapes with --redact."""
    target, _ = boxes(context, NEWEST, "busy", "plain")

    def caught(*flags):
        for _ in range(TRIES):
            out, _ = dump(context, "-p", target.pid, *LONG, *flags)
            if "\nin use by goroutine " in out or maps_of(out if "json" in flags else ""):
                return out
        raise AssertionError("no map was in use")

    plain = caught()
    expect("key-" not in plain and "no damage found" in plain, f"by default: {plain[-600:]}")
    shown = caught("--show-keys")
    lines = re.findall(r'^    "key-(\d\d)-x+"\.\.\. \+\d+: (\d+|true)$', shown, re.M)
    expect({n for n, _ in lines} == {f"{i:02}" for i in range(20)}, f"with --show-keys: {shown[-600:]}")
    expect(all(value in ("true", str(int(n))) for n, value in lines), f"values: {lines}")
    shapes = caught("--show-keys", "--redact")
    expect("key-" not in shapes and len(re.findall(r"^    string\(\d+ bytes\): (?:int|bool)$", shapes, re.M)) >= 20,
           f"with --redact: {shapes[-600:]}")
    entries = maps_of(caught("--show-keys", "-o", "json"))[0]["entries"]
    expect(len(entries) == 20 and all(e["key"].startswith('"key-') for e in entries), f"as JSON: {entries[:1]}")


@case("dump/maps-core", builds=[("1.23.12", "plain"), (NEWEST, "pie-stripped")])
def core(context):
    """A core of a process that died of concurrent map writes: the map is that of the goroutine that Go accuses."""
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if not re.fullmatch(r"[\w.-]+", pattern):
        raise Skipped(f"core files go elsewhere on this machine ({pattern})")
    for version, mode in (("1.23.12", "plain"), (NEWEST, "pie-stripped")):
        binary = fixtures.build(version, mode)
        target = context.own(Process([binary, "write_write"], env=dict(os.environ, GOTRACEBACK="crash"), cwd=context.scratch,
                                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)))
        target.wait(60)
        # Twice, when both die at once.
        dying = re.search(r"^(?:fatal error: )+concurrent map writes\n(?s:.*?)^goroutine (\d+)", target.err.text(), re.M)
        expect(dying, f"it did not crash: {target.err.text()[:400]}")
        dumped = list(context.scratch.glob(pattern + "*"))
        expect(len(dumped) == 1, f"the kernel wrote {len(dumped)} core files")
        shown = maps_of(dump(context, "--core", dumped[0], "--exe", binary, "-o", "json")[0])
        users = {user["goid"]: (user["op"], one["type"]) for one in shown for user in one["users"]}
        expect(users.get(int(dying[1])) == ("write", "map[int]int"), f"goroutine {dying[1]} is none of {users}")
        dumped[0].unlink()
