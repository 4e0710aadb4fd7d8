"""mapwatch dossier export: a dossier as one archive, for others' eyes with --redact."""
import io
import os
import pathlib
import pty
import shutil
import subprocess
import tarfile

from . import fixtures
from .dossier import crashed
from .fixtures import NEWEST, build
from .harness import case, expect

REDACTED = {"report.txt", "report.json", "timeline.json", "report.html", "goroutines.txt", "buildinfo.txt", "maps.json", "holders.json", "map.svg",
            "REDACTED.txt", "SHA256SUMS"}


def exported(context, state, name, *flags, status=0):
    done = subprocess.run([context.mapwatch, "dossier", "export", name, "--state-dir", state, *flags],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    expect(done.returncode == status, f"export {flags} ended with {done.returncode}: {done.stderr.decode()[-400:]}")
    return done.stdout, done.stderr.decode()


def files_of(archive, name):
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            expect(member.name == name or member.name.startswith(name + "/"), f"{member.name} is outside of {name}")
            expect(member.mode & 0o077 == 0, f"{member.name} is open to others")
            if member.isfile():
                files[member.name.removeprefix(name + "/")] = tar.extractfile(member).read()
    return files


def sums_hold(context, files):
    folder = context.scratch / "unpacked"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_bytes(text)
    done = subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    expect(done.returncode == 0, done.stdout + done.stderr)
    shutil.rmtree(folder)


@case("dossier/export", builds=[(NEWEST, "plain")])
def export(context):
    home = context.scratch / "home-of-somebody"
    home.mkdir()
    binary = pathlib.Path(shutil.copy(build(NEWEST), home / "service"))
    state = context.scratch / "state"
    _, crash = crashed(context, state, binary=binary, env={"MW_TEST_TOKEN": "secret-value-5f1c"})
    path = pathlib.Path(crash["dossier"])
    kept = {p.name: p.read_bytes() for p in path.iterdir()}
    archive, err = exported(context, state, path.name)
    expect(files_of(archive, path.name) == kept, "the archive is not the dossier")
    expect(not err, f"said of a sound dossier: {err}")

    archive, _ = exported(context, state, path.name, "--redact")
    files = files_of(archive, path.name)
    expect(set(files) <= REDACTED and REDACTED - set(files) <= {"maps.json", "map.svg", "holders.json"}, f"files: {set(files)}")
    sums_hold(context, files)
    goroot = next(f["file"] for f in crash["stack"] if f["func"] == "runtime.fatal").removesuffix("runtime/panic.go")
    for secret in (home, fixtures.SOURCES, state, goroot, "MW_TEST_TOKEN", "home-of-somebody"):
        expect(str(secret) in "".join(text.decode() for text in kept.values()), f"{secret} was not there to begin with")
        for name, text in files.items():
            expect(str(secret).encode() not in text, f"{secret} is in {name}")
    for side in filter(None, (crash, crash["other"])):
        for frame in side["stack"]:
            for name in ("report.txt", "report.json", "report.html"):
                expect(frame["func"] in files[name].decode(), f"{name} has lost {frame['func']}")
    expect(b"goroutine " + str(crash["goid"]).encode() in files["goroutines.txt"], "goroutines.txt is empty")

    with (path / "report.txt").open("a") as file:
        file.write("more\n")
    _, err = exported(context, state, path.name)
    expect("report.txt: changed" in err, f"not said that it was changed: {err}")
    (path / "report.json").write_text("{}")
    archive, err = exported(context, state, path.name, "--redact", status=3)
    expect(not archive and "report.json" in err, f"redacted without knowing what: {err}")
    exported(context, state, "../" + path.name, status=2)
    exported(context, state, "20260101T000000.000Z-1-mw-00000000", status=2)


@case("dossier/export-to-a-terminal", builds=[(NEWEST, "plain")])
def to_a_terminal(context):
    """Nobody wants an archive on the terminal: it goes to a file, and over no other file."""
    state = context.scratch / "state"
    _, crash = crashed(context, state)
    name = pathlib.Path(crash["dossier"]).name
    ours, theirs = pty.openpty()
    context.stack.callback(os.close, ours)

    def run(status):
        done = subprocess.run([context.mapwatch, "dossier", "export", name, "--state-dir", state], cwd=context.scratch,
                              stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=60)
        expect(done.returncode == status, f"ended with {done.returncode}: {done.stderr}")
        expect(f"{name}.tar.gz" in done.stderr, f"the file is not named: {done.stderr}")

    run(0)
    archive = context.scratch / f"{name}.tar.gz"
    expect(archive.stat().st_mode & 0o777 == 0o600, "the archive is open to others")
    written = archive.read_bytes()
    expect("report.json" in files_of(written, name), "no dossier")
    run(1)
    expect(archive.read_bytes() == written, "it was overwritten")
    os.close(theirs)
