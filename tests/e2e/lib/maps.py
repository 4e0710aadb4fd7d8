"""The reader of maps against what a Go program knows of its own: sound maps in every state, and damaged ones."""
import json
import subprocess

from . import fixtures
from .harness import Failed, case, expect
from .process import Process

VERSIONS = ["1.17.13", "1.20.14", "1.23.12", "1.24.13", "1.24.13-noswissmap", fixtures.NEWEST]
BUCKETS = ["count", "overflow-loop", "overflow-self", "overflow-dangling", "overflow-shared", "overflow-count",
           "illegal-tophash", "entry-after-end", "duplicate-key", "wrong-bucket", "wrong-mark", "half-evacuated",
           "not-evacuated", "evacuation-mark", "same-buckets"]
SWISS = ["count", "small-count", "small-tombstone", "illegal-control", "depth", "index", "stale-table", "capacity",
         "table-used", "growth-left", "no-empty", "directory", "table-dangling", "table-nil", "scattered",
         "duplicate-key", "wrong-table", "unreachable-key", "wrong-mark"]
# Entries with NaN keys: their hashes are random numbers.
NANS = {"float_keys": 5}


def is_swiss(version):
    return version.startswith(("1.24", "1.25", "1.26", "1.27")) and "noswissmap" not in version


def dump(pid, maps, *options):
    """What mapdump reads of these maps of the process, in their order."""
    addresses = [word for m in maps for word in (m["type_address"], m["address"])]
    tool = fixtures.ROOT / "build/tests/mapdump"
    done = subprocess.run([tool, *options, str(pid), *addresses], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120)
    if done.returncode != 0:
        raise Failed(f"mapdump ended with {done.returncode}: {done.stderr[-600:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def boxes(context, version, mode, build, *args):
    binary = fixtures.build(version, build, "mapbox")
    target = context.own(Process([binary, mode, *args]))
    expect(target.out.wait("^ready$", 120), f"mapbox {mode}: {target.err.text()[-600:]}")
    return target, json.loads(target.out.lines[0])["maps"]


def agree(truth, got):
    """Header, contents and judgement of one map, as the program and as the reader has them."""
    name = truth["name"]
    same = {"address": truth["address"], "type_address": truth["type_address"]}
    for key, value in same.items():
        expect(got[key] == value, f"{name}: {key} is {got[key]}, not {value}")
    # reflect.MapOf gives its types names that lie outside of the program's types.
    expect(got["type"].replace("interface {}", "any") == truth["type"].replace("interface {}", "any"),
           f"{name}: type {got['type']}, not {truth['type']}")
    header = got["header"]
    for key, value in truth["header"].items():
        if key == "growing":
            expect((header["old_buckets"] is not None) == value, f"{name}: growing is not {value}: {header}")
            expect(got["growth"]["growing"] == value, f"{name}: growth {got['growth']}")
        else:
            seen = int(header[key], 16) if key == "seed" else header[key]
            expect(seen == value, f"{name}: {key} is {seen}, not {value}")
    expect(header["count"] == truth["count"], f"{name}: count {header['count']}, not {truth['count']}")
    expect(got["partial"] is None and not got["changed_while_read"], f"{name}: {got['partial']}")
    if truth.get("keys"):
        expect(sorted(e["key"] for e in got["entries"]) == truth["keys"],
               f"{name}: keys {sorted(e['key'] for e in got['entries'])[:5]}, not {truth['keys'][:5]}")
        expect(sorted(e["element"] for e in got["entries"]) == truth["values"], f"{name}: values differ")


def codes(got):
    return sorted(f["code"] for f in got["findings"])


def sound(version, build):
    def run(context):
        target, maps = boxes(context, version, "sound", build)
        for truth, got in zip(maps, dump(target.pid, maps, "--entries", "4000")):
            name = truth["name"]
            agree(truth, got)
            expect(not got["findings"], f"{name} is sound: {got['findings'][:2]}")
            expect(got["entries_found"] == truth["count"], f"{name}: {got['entries_found']} entries")
            hashes = got["hashes"]
            expect(hashes["unavailable"] is None, f"{name}: {hashes}")
            expect(hashes["agree"] == hashes["computed"] == truth["count"] - NANS.get(name, 0), f"{name}: {hashes}")
            expect(hashes["skipped"] == NANS.get(name, 0), f"{name}: {hashes}")
            distribution = got["distribution"]
            # Every entry is in one bin; buckets whose old bucket is not evacuated yet stay out of it.
            binned = sum(n * count for n, count in enumerate(distribution["entries"]))
            old = got["header"].get("old_entries_found", 0)
            expect(binned + old == truth["count"], f"{name}: {binned} + {old} entries in the histogram")
        shown = dump(target.pid, maps, "--entries", "4000", "--redact")
        secret = next(g for t, g in zip(maps, shown) if t["name"] == "small_string")
        expect(all("word" not in e["key"] for e in secret["entries"]), f"redacted: {secret['entries']}")
        expect(secret["entries"][0]["key"] == "string(5 bytes)", f"redacted: {secret['entries'][0]}")
    return run


def damaged(version, mode):
    def run(context):
        target, maps = boxes(context, version, mode, "plain")
        got = dump(target.pid, maps)[0]
        expect(codes(got) == maps[0]["findings"], f"found {got['findings']}, not {maps[0]['findings']}")
        for finding in got["findings"]:
            expect(finding["examples"] and finding["meaning"] and finding["cause"], f"not explained: {finding}")
            expect(not finding["explained_by_write"], f"nobody writes: {finding}")
    return run


def ten_million(version):
    def run(context):
        target, maps = boxes(context, version, "huge", "plain", "10000000")
        got = dump(target.pid, maps)[0]
        expect(got["entries_found"] == 10_000_000 and got["partial"] is None, f"{got['entries_found']} {got['partial']}")
        expect(not got["findings"], f"{got['findings'][:2]}")
        expect(got["hashes"]["agree"] == 10_000_000, f"{got['hashes']}")
    return run


for _version in VERSIONS:
    case(f"maps/{_version}/sound", builds=[(_version, "plain", "mapbox")])(sound(_version, "plain"))
    case(f"maps/{_version}/sound-stripped-pie", quick=_version in ("1.17.13", fixtures.NEWEST),
         builds=[(_version, "pie-stripped", "mapbox")])(sound(_version, "pie-stripped"))
    for _mode in SWISS if is_swiss(_version) else BUCKETS:
        case(f"maps/{_version}/{_mode}", builds=[(_version, "plain", "mapbox")])(damaged(_version, _mode))
    case(f"maps/{_version}/ten-million", quick=_version in ("1.23.12", fixtures.NEWEST),
         builds=[(_version, "plain", "mapbox")])(ten_million(_version))
