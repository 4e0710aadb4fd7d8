"""Builds the Go fixtures for any toolchain and build mode, once for each state of the sources."""
import fcntl
import hashlib
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
SOURCES = ROOT / "tests/fixtures/go"

# The last patch of each minor version, and 1.24 with the maps it had before.
VERSIONS = ["1.17.13", "1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.12", "1.24.13", "1.25.14",
            "1.26.8", "1.27.4", "1.24.13-noswissmap"]
NEWEST = "1.27.4"

# mode: (go build flags, linker flags, compiler flags, cgo)
MODES = {
    "plain": ([], "", "", False),
    "stripped": ([], "-s -w", "", False),
    "pie": (["-buildmode=pie"], "", "", False),
    "pie-stripped": (["-buildmode=pie"], "-s -w", "", False),
    "cgo": ([], "-linkmode=external", "", True),
    "noopt": ([], "", "all=-N -l", False),
}
# net/http doubles the time of a build and is the same code in every mode: only these modes hold the HTTP scenarios.
WITH_HTTP = {"plain", "stripped"}


class BuildError(Exception):
    pass


def goroot(version):
    """The GOROOT of a version, fetched when it is not there."""
    result = subprocess.run([ROOT / "tests/e2e/toolchain", version.split("-")[0]], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise BuildError(result.stderr.strip())
    return result.stdout.strip()


def source_hash(package):
    digest = hashlib.sha256()
    for path in sorted([SOURCES / "go.mod", pathlib.Path(__file__), *(SOURCES / package).glob("*.go")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def build(version, mode="plain", package="race"):
    """Path of the fixture `package` as built by `version` in `mode`. Two callers at once build it once."""
    home = ROOT / "build/fixtures" / f"{version}-{mode}"
    home.mkdir(parents=True, exist_ok=True)
    binary = home / f"{package}-{source_hash(package)}"
    with open(home / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            compile_fixture(version, mode, package, home, binary)
    return binary


def compile_fixture(version, mode, package, home, binary):
    build_flags, linker_flags, compiler_flags, cgo = MODES[mode]
    minor = ".".join(version.split("-")[0].split(".")[:2])
    # The language version follows the toolchain; go.mod itself says the oldest one.
    module_file = home / "go.mod"
    module_file.write_text((SOURCES / "go.mod").read_text().replace("go 1.17", "go " + minor))
    tags = [tag for tag, wanted in (("mwsmall", mode not in WITH_HTTP), ("mwcgo", cgo)) if wanted]
    fresh = binary.with_suffix(".new")
    command = [goroot(version) + "/bin/go", "build", f"-modfile={module_file}", "-o", str(fresh), *build_flags]
    if tags:
        command.append("-tags=" + ",".join(tags))
    if linker_flags:
        command.append("-ldflags=" + linker_flags)
    if compiler_flags:
        command.append("-gcflags=" + compiler_flags)
    command.append("./" + package)
    env = {k: v for k, v in os.environ.items() if k not in ("GOROOT", "GOEXPERIMENT")}
    # GOFLAGS of the machine may name flags that older versions do not know; unset, it would come from `go env -w`.
    env.update(GOFLAGS="-mod=mod", GOTOOLCHAIN="local", GOWORK="off", CGO_ENABLED="1" if cgo else "0")
    if "-" in version:
        env["GOEXPERIMENT"] = version.split("-", 1)[1]
    result = subprocess.run(command, cwd=SOURCES, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise BuildError(f"{package} with go{version} {mode}: {result.stdout.strip()[-800:]}")
    for old in home.glob(package + "-*"):
        if old != fresh:
            old.unlink()
    fresh.rename(binary)


def scenarios(binary):
    """The scenarios of a built fixture by name."""
    out = subprocess.run([binary, "list"], stdout=subprocess.PIPE, check=True)
    return {s["name"]: s for s in json.loads(out.stdout)}
