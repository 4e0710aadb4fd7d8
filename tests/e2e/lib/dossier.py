"""The dossier of a crash: what is left when the process is gone."""
import hashlib
import json
import pathlib
import re
import stat
import subprocess

from .fixtures import NEWEST, build
from .freeze import Watched
from .goroutines import UNAVAILABLE, parse
from .harness import case, expect
from .process import Mapwatch, Process, Target, run_to_end

FILES = {"report.txt", "report.json", "report.html", "goroutines.txt", "registers.json", "maps.txt", "buildinfo.txt",
         "env-names.txt", "SHA256SUMS"}


def crashed(context, state, *flags, **options):
    watched = Watched(context, "--state-dir", state, *flags, **options)
    watched.target.release()
    watched.died_of_its_own()
    return watched, watched.one_crash()


def dossier(context, state, *args, want=0):
    status, out, err = run_to_end(context, "dossier", *args, "--state-dir", state)
    expect(status == want, f"dossier {args} ended with {status}: {out[-300:]}{err[-300:]}")
    return out, err


def whole(context, version, mode, scenario):
    state = context.scratch / "state"
    watched, crash = crashed(context, state, binary=build(version, mode), scenario=scenario)
    path = pathlib.Path(crash["dossier"] or "")
    expect(crash["dossier"] and path.is_dir(), f"no dossier: {crash['dossier']}; {watched.mapwatch.err.text()[-400:]}")
    names = {p.name for p in path.iterdir()}
    expect(FILES <= names, f"missing: {FILES - names}")
    expect(stat.S_IMODE(path.stat().st_mode) == 0o700, "the directory is open to others")
    expect(all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in path.iterdir()), "a file is open to others")
    sums = dict(reversed(line.split("  ")) for line in (path / "SHA256SUMS").read_text().splitlines())
    expect(set(sums) == names - {"SHA256SUMS"}, f"sums of {set(sums)}")
    for name, wanted in sums.items():
        expect(hashlib.sha256((path / name).read_bytes()).hexdigest() == wanted, f"the sum of {name}")
    kept = json.loads((path / "report.json").read_text())
    expect({k: v for k, v in kept.items() if k != "printed_ns"} == {k: v for k, v in crash.items() if k != "printed_ns"},
           "report.json is not the crash object")
    ours = parse((path / "goroutines.txt").read_text())
    expect(crash["goid"] in ours, f"the crashing goroutine {crash['goid']} is not in goroutines.txt: {set(ours)}")
    first = re.search(r"^goroutine (\d+)", (path / "goroutines.txt").read_text())
    expect(first and int(first[1]) == crash["goid"], "the crashing goroutine is not the first")
    # Go's own traceback. Two goroutines may reach the fatal path at once: Go then prints the other one, whichever takes
    # its print lock first, and of the one that mapwatch told of only that it runs, or nothing.
    gos = parse(watched.target.err.text())
    mine = [f[:3] for f in ours[crash["goid"]][1] if f[0].startswith("main.")]
    told = crash["goid"] in gos
    user = [f[:3] for f in gos[crash["goid"]][1] if f[0].startswith("main.")] if told else []
    if user:
        expect(mine == user, f"frames of the crashing goroutine: {mine}, Go says {user}")
    else:
        expect(not told or UNAVAILABLE in watched.target.err.text(), f"Go has no frames of goroutine {crash['goid']}")
        dying = next(n for n, stack in gos.items() if any(f[0].startswith("main.") for f in stack[1]))
        theirs = [f[:3] for f in gos[dying][1] if f[0].startswith("main.")]
        expect(dying in ours and len(theirs) == len(mine) and theirs[-2:] == mine[-2:],
               f"frames of goroutine {crash['goid']}: {mine}, Go says of {dying}: {theirs}")
    threads = json.loads((path / "registers.json").read_text())["threads"]
    expect(threads and all(int(t["rip"], 16) for t in threads), f"registers of {len(threads)} threads")
    expect(str(watched.target.command[0]) in (path / "maps.txt").read_text(), "the program is not in maps.txt")
    expect(f"go\tgo{version}" in (path / "buildinfo.txt").read_text(), (path / "buildinfo.txt").read_text()[:200])
    if crash["map"]["addr"] and {"maps.json", "map.svg"} <= names:
        picture = json.loads((path / "maps.json").read_text())
        expect(crash["map"]["addr"] in json.dumps(picture), "maps.json is of another map")
    return watched, crash, path, state


def register():
    for version, mode, scenario in (("1.17.13", "plain", "write_write"), ("1.23.12", "pie-stripped", "write_write"),
                                    (NEWEST, "plain", "write_write"), (NEWEST, "pie-stripped", "iterate_write")):
        def run(context, version=version, mode=mode, scenario=scenario):
            path = whole(context, version, mode, scenario)[2]
            expect({"maps.json", "map.svg"} <= {p.name for p in path.iterdir()},
                   f"no map: {re.findall('Not complete: .*', (path / 'report.txt').read_text())}")
        case(f"dossier/{version}-{mode}-{scenario}", builds=[(version, mode)])(run)


register()


@case("dossier/commands", builds=[(NEWEST, "plain")])
def commands(context):
    _, crash, path, state = whole(context, NEWEST, "plain", "write_write")
    out, _ = dossier(context, state, "ls")
    expect(out.count("\n") == 1 and path.name in out and crash["reason"] in out, f"ls: {out}")
    out, _ = dossier(context, state, "show", path.name)
    expect("CRASH CAPTURED" in out and "goroutines in" in out or "goroutine in" in out, f"show: {out[-400:]}")
    dossier(context, state, "verify", path.name)
    # What somebody wrote there later does not reach the terminal as it is.
    with (path / "report.txt").open("a") as file:
        file.write("\x1b]0;title\x07\x9b31m\n")
    out, _ = dossier(context, state, "show", path.name)
    expect(not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", out), "a control character reached the terminal")
    out, _ = dossier(context, state, "verify", path.name, want=1)
    expect(out == "report.txt: changed\n", f"verify: {out}")
    dossier(context, state, "show", "../" + path.name, want=2)
    dossier(context, state, "rm", path.name)
    expect(not path.exists(), "rm left it")
    dossier(context, state, "rm", path.name, want=2)
    expect("no dossiers" in dossier(context, state, "ls")[0], "ls of none")


@case("dossier/none", builds=[(NEWEST, "plain")])
def none(context):
    state = context.scratch / "state"
    watched = Watched(context, "--state-dir", state, "--on-crash", "none")
    watched.target.release()
    watched.died_of_its_own()
    crash = watched.one_crash()
    expect(crash["dossier"] is None and not state.exists(), f"--on-crash none wrote {crash['dossier']}")


def small_disk(context):
    state = context.scratch / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "none", state], check=True)
    context.stack.callback(subprocess.run, ["umount", "-l", state], check=True)
    return state


@case("dossier/disk-full", builds=[(NEWEST, "plain")])
def disk_full(context):
    """The report goes out all the same, and it is said that there is no dossier."""
    state = small_disk(context)
    watched, crash = crashed(context, state)
    expect(crash["dossier"] is None, f"a dossier on a full disk: {crash['dossier']}")
    expect("no dossier of its crash" in watched.mapwatch.err.text(), watched.mapwatch.err.text()[-400:])
    expect("No space left" in watched.mapwatch.err.text(), watched.mapwatch.err.text()[-400:])
    expect(not [p for p in (state / "dossiers").iterdir()], "something is left behind")


@case("dossier/disk-full-on-a-terminal", builds=[(NEWEST, "plain")])
def disk_full_text(context):
    """The text report is whole but for its path, with a frozen time, for it was frozen."""
    target = context.own(Target(build(NEWEST), "write_write", pace="200us"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--run-dir", context.scratch / "run", "--state-dir",
                        small_disk(context), output=False).attached(target.pid)
    target.release()
    expect(target.wait(60) == 2, f"the target ended with {target.child.returncode}")
    expect(mapwatch.wait(20) == 0, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    crash = re.search(r"^CRASH CAPTURED: (.*)\n(?s:.*?)^=+$", mapwatch.out.text(), re.M)
    expect(crash and crash[1] == target.fatal(), f"no report: {mapwatch.out.text()[-400:]}")
    expect("main.writeWrite" in crash[0] and "\nFrozen: " in crash[0] and "\nDossier: " not in crash[0], crash[0])
    expect("no dossier of its crash" in mapwatch.err.text(), mapwatch.err.text()[-400:])


@case("dossier/quota", builds=[(NEWEST, "plain")])
def quota(context):
    """Of 64 dossiers that are there the oldest goes when one is added."""
    state = context.scratch / "state"
    names = [f"20200101T0000{n:02}.000Z-1-mw-00000000" for n in range(64)]
    (state / "dossiers").mkdir(parents=True, mode=0o700)
    for name in names:
        (state / "dossiers" / name).mkdir()
        (state / "dossiers" / name / "report.json").write_text("{}")
    _, crash = crashed(context, state)
    newest = pathlib.Path(crash["dossier"]).name
    kept = sorted(p.name for p in (state / "dossiers").iterdir())
    expect(kept == names[1:] + [newest], f"kept: {kept}")


@case("dossier/pid-1-of-a-container", builds=[(NEWEST, "plain")])
def container(context):
    """The target knows its threads by other numbers: the stack of a running goroutine is found all the same."""
    shell = context.own(Process(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", build(NEWEST), "-pace", "200us",
                                 "-start-on-stdin", "write_write"]))
    expect(shell.out.wait("^ready$", 10), shell.err.text()[-400:])
    pid = int(pathlib.Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()[0])
    mapwatch = Mapwatch(context, "watch", "-p", pid, "--run-dir", context.scratch / "run", "--state-dir",
                        context.scratch / "state").attached(pid)
    shell.child.stdin.write("go\n")
    shell.child.stdin.flush()
    expect(shell.wait(60) == 2, f"status {shell.child.returncode}: {shell.err.text()[-400:]}")
    mapwatch.wait(15)
    crash = mapwatch.kind("crash")[0]
    expect(crash["dossier"], f"no dossier: {mapwatch.err.text()[-400:]}")
    ours = parse((pathlib.Path(crash["dossier"]) / "goroutines.txt").read_text())
    names = [frame[0] for frame in ours[crash["goid"]][1]]
    expect(any(name.startswith("main.writeWrite") for name in names), f"the crashing goroutine: {names}")
    table = (pathlib.Path(crash["dossier"]) / "report.txt").read_text()
    expect(re.search(r"^ +\d+ +\d+ +\d+ +%d  running +runtime\.fatal" % crash["goid"], table, re.M),
           f"no thread stands in runtime.fatal: {table[-700:]}")
