"""Targets that cannot be watched, and command lines that make no sense: a clear message, the right exit status, and
never a crash of either side."""
import os
import shutil
import subprocess
import time

from . import check
from .fixtures import NEWEST, SOURCES, build, goroot, scenarios
from .harness import case, expect
from .process import Mapwatch, Process, Target, run_to_end

FAILED, USAGE, UNSUPPORTED = 1, 2, 3


def refused(result, status, *words):
    """One of the statuses, a message with the words on stderr, and nothing on stdout."""
    got, out, err = result
    wanted = status if isinstance(status, tuple) else (status,)
    expect(got in wanted, f"status {got}, not {status}; stderr: {err[-400:]}")
    for word in words:
        expect(word.lower() in err.lower(), f"the message does not say '{word}': {err[-400:]}")
    expect("terminate called" not in err and "Sanitizer" not in err, f"not a clean refusal: {err[-400:]}")


def usage(name, *args, words=()):
    @case(f"usage/{name}")
    def run(context):
        refused(run_to_end(context, *args), USAGE, *words)


# A usage error is one line here.
usage("no-command")
usage("unknown-command", "wacth", words=["wacth"])
usage("unknown-flag", "watch", "-p", "1", "--frobnicate", words=["--frobnicate"])
usage("pid-not-a-number", "watch", "-p", "abc", words=["abc"])
usage("pid-zero", "watch", "-p", "0")
usage("nothing-to-watch", "watch")
usage("bad-duration", "watch", "-p", "1", "--dwell", "5parsecs", words=["5parsecs"])
usage("bad-output", "watch", "-p", "1", "-o", "yaml", words=["yaml"])
usage("bad-ring-size", "watch", "-p", "1", "--ring-size", "seven", words=["seven"])
usage("run-without-command", "run")
usage("run-with-only-dashes", "run", "--")
usage("missing-config", "watch", "-p", "1", "--config", "/does/not/exist", words=["/does/not/exist"])


@case("usage/environment-is-checked-too")
def bad_environment(context):
    env = dict(os.environ, MAPWATCH_DWELL="soon")
    refused(run_to_end(context, "watch", "-p", "1", env=env), USAGE, "MAPWATCH_DWELL")


@case("usage/unknown-config-key")
def unknown_key(context):
    config = context.scratch / "config"
    config.write_text("dwel = 5us\n")
    refused(run_to_end(context, "watch", "-p", "1", "--config", config), USAGE, "dwel")


@case("bad/no-such-pid")
def no_such_pid(context):
    child = subprocess.Popen(["true"])
    child.wait()
    refused(run_to_end(context, "watch", "-p", child.pid), FAILED, str(child.pid))


@case("bad/not-go")
def not_go(context):
    sleeper = context.own(Process(["sleep", "60"]))
    refused(run_to_end(context, "watch", "-p", sleeper.pid), UNSUPPORTED, "Go")
    expect(sleeper.running(), "the process that was refused is dead")


@case("bad/kernel-thread")
def kernel_thread(context):
    refused(run_to_end(context, "watch", "-p", 2), (FAILED, UNSUPPORTED))


@case("bad/itself")
def init_process(context):
    refused(run_to_end(context, "watch", "-p", os.getpid()), UNSUPPORTED, "Go")


def build_for(context, arch):
    binary = context.scratch / f"tiny-{arch}"
    env = dict(os.environ, GOARCH=arch, CGO_ENABLED="0", GOFLAGS="-mod=mod", GOTOOLCHAIN="local", GOWORK="off")
    subprocess.run([goroot(NEWEST) + "/bin/go", "build", "-o", binary, "./tiny"], cwd=SOURCES, env=env, check=True)
    return binary


@case("bad/32-bit")
def bits32(context):
    target = context.own(Process([build_for(context, "386")]))
    refused(run_to_end(context, "watch", "-p", target.pid), UNSUPPORTED, "32-bit")
    expect(target.running(), "the process that was refused is dead")


@case("bad/wrong-arch")
def wrong_arch(context):
    refused(run_to_end(context, "run", "--", build_for(context, "arm64")), 126)


@case("bad/exits-during-attach", builds=[(NEWEST, "plain")])
def exits_during_attach(context):
    binary = build(NEWEST)
    for n in range(12):
        target = Target(binary, "rw3", seconds=0.004 * (n + 1), held=False, pace="100us")
        try:
            status, _, err = run_to_end(context, "watch", "-p", target.pid, "-o", "json")
            expect(status in (0, FAILED), f"status {status}: {err[-400:]}")
            expect(status == 0 or str(target.pid) in err, f"the message names no process: {err[-400:]}")
            expect(target.wait() == 0, f"the target ended with {target.child.returncode}: {target.err.text()[-400:]}")
        finally:
            target.close()


def own_copy(context, version):
    copy = context.scratch / f"service-{version}"
    shutil.copy2(build(version), copy)
    return copy


@case("bad/deleted-binary", builds=[(NEWEST, "plain")])
def deleted(context):
    copy = own_copy(context, NEWEST)
    target = context.own(Target(copy, "write_read", pace="500us"))
    scenario = scenarios(copy)["write_read"]
    copy.unlink()
    mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    target.release()
    mapwatch.wait_hazard(20)
    mapwatch.stop()
    expect(check.all_hazards(mapwatch.kind("hazard"), scenario, target.pid, NEWEST), "no hazard with both sides named")


@case("bad/replaced-binary", builds=[(NEWEST, "plain"), ("1.22.12", "plain")])
def replaced(context):
    """A deployment renames the new binary over the old one, which goes on running."""
    copy = own_copy(context, "1.22.12")
    scenario = scenarios(copy)["write_read"]
    target = context.own(Target(copy, "write_read", pace="500us"))
    own_copy(context, NEWEST).rename(copy)
    mapwatch = Mapwatch(context, "watch", "-p", target.pid).attached(target.pid)
    target.release()
    mapwatch.wait_hazard(20)
    mapwatch.stop()
    expect(check.all_hazards(mapwatch.kind("hazard"), scenario, target.pid, "1.22.12"), "no hazard with both sides named")


@case("bad/no-permission", builds=[(NEWEST, "plain")])
def no_permission(context):
    target = context.own(Target(build(NEWEST), "rw3", pace="1ms", held=False))
    program = context.scratch / "mapwatch"  # where nobody may read it
    shutil.copy2(context.mapwatch, program)
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    done = subprocess.run([*drop, program, "watch", "-p", str(target.pid)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
    refused((done.returncode, done.stdout, done.stderr), FAILED)
    expect("CAP_" in done.stderr or "root" in done.stderr, f"the message names no remedy: {done.stderr[-400:]}")
    target.finish()


def damaged(context, name, change, source=None):
    """A copy of a good binary with some bytes changed, made to be run."""
    path = context.scratch / name
    path.write_bytes(change(bytearray((source or build(NEWEST)).read_bytes())))
    path.chmod(0o755)
    return path


def section(data, name):
    """(offset, size) of an ELF section, by the section headers of a file that is whole."""
    from elftools.elf.elffile import ELFFile
    import io
    found = ELFFile(io.BytesIO(bytes(data))).get_section_by_name(name)
    return found["sh_offset"], found["sh_size"]


def overwrite(data, offset, size):
    data[offset:offset + size] = b"\xa5" * size
    return data


@case("bad/truncated-elf", builds=[(NEWEST, "plain")])
def truncated(context):
    for size in (10, 64, 4096, 300_000):
        path = damaged(context, f"cut-{size}", lambda data, size=size: data[:size])
        # The kernel itself refuses some of these, and kills others in exec: their own status then wins.
        status, _, err = run_to_end(context, "run", "--", path)
        expect(status in (3, 126, 128 + 11, 128 + 7, 128 + 9), f"cut at {size}: status {status}; {err[-300:]}")


@case("bad/section-headers-damaged", builds=[(NEWEST, "plain")])
def no_section_headers(context):
    """Section headers are not needed to run: such a binary works, and is watched or refused in plain words."""
    def change(data):
        return overwrite(data, int.from_bytes(data[0x28:0x30], "little"), 64 * 8)
    status, _, err = run_to_end(context, "run", "-o", "json", "--", damaged(context, "headers", change), "-for", "200ms", "rw3")
    expect(status in (0, 3), f"status {status}: {err[-400:]}")


@case("bad/build-info-damaged", builds=[(NEWEST, "plain")])
def no_build_info(context):
    def change(data):
        return overwrite(data, *section(data, ".go.buildinfo"))
    path = damaged(context, "info", change)
    target = context.own(Target(path, "rw3", pace="1ms", held=False))
    status, _, err = run_to_end(context, "watch", "-p", target.pid, "-d", "1s")
    expect(status in (0, UNSUPPORTED), f"status {status}: {err[-400:]}")
    expect(target.running(), f"the target is dead: {target.err.text()[-400:]}")


@case("bad/pclntab-damaged", builds=[(NEWEST, "plain")])
def pclntab_damaged(context):
    """The tail of pclntab: the program runs on it until it needs a traceback."""
    def change(data):
        offset, size = section(data, ".gopclntab")
        return overwrite(data, offset + size * 3 // 4, size // 8)
    path = damaged(context, "pclntab", change)
    child = context.own(Process([path, "-for", "30s", "-pace", "1ms", "rw3"]))
    time.sleep(0.5)  # it may well die of the damage by itself
    alive = child.running()
    status, _, err = run_to_end(context, "watch", "-p", child.pid, "-d", "1s")
    expect(status in (0, FAILED, UNSUPPORTED), f"status {status}: {err[-400:]}")
    expect(child.running() or not alive or status != 0, "the target died while it was watched")
