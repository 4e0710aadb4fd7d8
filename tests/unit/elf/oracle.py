#!/usr/bin/python3
"""Compares what elfdump reads in Go binaries with golib.py, an independent reader (needs pyelftools).

Usage: oracle.py --elfdump build/tests/elfdump --golib DIR [--samples N] BINARY...
DIR holds golib.py and go_offsets.json. Compared: version, every function (entry, end, name), and at N addresses the
chain of frames (function, file, line, inlined). Ends with status 1 when anything differs.
"""
import argparse
import json
import random
import re
import resource
import subprocess
import sys

MEMORY = 3 << 30


def run(*command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stdout


def minor_of(version):
    return int(re.search(r"go1\.(\d+)", version).group(1))


def printed_name(name):
    first, last = name.find("["), name.rfind("]")
    return name[:first] + "[...]" + name[last + 1:] if 0 <= first < last else name


def expected_frames(oracle, address):
    frames = oracle.frames(address)
    return "\t".join(f"{printed_name(n)}|{f}|{max(line, 0)}|{int(inl)}" for n, f, line, inl in frames)


def compare(elfdump, golib, versions, path, samples):
    """Differences as text, and a summary."""
    oracle = golib.GoBin(path)
    entry = versions["1.%d" % minor_of(oracle.goversion)]["structs"]["runtime.moduledata"]["fields"]
    if "gofunc" in entry:
        oracle.gofunc = oracle.ptr(oracle.moduledata + entry["gofunc"]["off"])
    differences = []
    info = dict(line.partition(" ")[::2] for line in run(elfdump, "info", path).splitlines())
    if info.get("version") != oracle.goversion:
        differences.append(f"version {info.get('version')!r}, golib {oracle.goversion!r}")
    ours = run(elfdump, "funcs", path).splitlines()
    theirs = [f"{e:x} {end:x} {name}" for e, end, name, _ in oracle.funcs]
    if ours != theirs:
        differences += [f"function {a!r}, golib {b!r}" for a, b in zip(ours, theirs) if a != b][:5]
        differences.append(f"{len(ours)} functions, golib {len(theirs)}")
    chosen = random.Random(1)
    addresses = [f[0] for f in oracle.funcs if f[1] > f[0]]
    addresses += [chosen.randrange(f[0], f[1]) for f in oracle.funcs if f[1] > f[0] for _ in range(8)]
    addresses = chosen.sample(addresses, min(samples, len(addresses)))
    lines = run(elfdump, "frames", path, text="\n".join(f"{a:x}" for a in addresses)).splitlines()
    inlined = 0
    wrong = abs(len(lines) - len(addresses))
    for address, line in zip(addresses, lines):
        want = f"{address:x}\t" + expected_frames(oracle, address)
        inlined += want.endswith("|0") and want.count("\t") > 1
        if line != want:
            wrong += 1
            if wrong < 5:
                differences.append(f"frames {line!r}, golib {want!r}")
    if wrong:
        differences.append(f"{wrong} of {len(addresses)} chains differ")
    return differences, f"{info.get('version')} {len(ours)} functions, {len(addresses)} chains, {inlined} with inlining"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elfdump", default="build/tests/elfdump")
    parser.add_argument("--golib", required=True)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("binaries", nargs="+")
    options = parser.parse_args()
    sys.path.insert(0, options.golib)
    import golib  # pylint: disable=import-error,import-outside-toplevel
    with open(options.golib + "/go_offsets.json", encoding="utf-8") as file:
        versions = json.load(file)["versions"]
    # golib's chains do not end where an inlined call names itself as its caller.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    failed = 0
    for path in options.binaries:
        try:
            differences, summary = compare(options.elfdump, golib, versions, path, options.samples)
        except MemoryError:
            differences, summary = ["golib ran out of memory"], ""
        failed += bool(differences)
        print(f"{'FAIL' if differences else 'ok'} {path}: {summary}", flush=True)
        for difference in differences:
            print("    " + difference)
    print(f"{len(options.binaries) - failed} equal, {failed} different")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
