"""What others have of a crash: the file behind stderr, the journal, the kernel's log."""
import os
import pathlib
import shutil
import signal

from .dossier import crashed
from .export import exported, files_of
from .fixtures import NEWEST, build
from .freeze import Watched
from .harness import Skipped, case, expect, wait_for
from .process import Mapwatch, Process, Target
from .timeline import PACE, PLAIN, at, events, full_pipe, in_order, seen_first, stuck_in_write, timeline

JOURNALD = "/lib/systemd/systemd-journald"


def check(line, witness):
    found = [c for c in line["checks"] if c["witness"] == witness]
    expect(len(found) == 1, f"{len(found)} checks of {witness}: {line['checks']}")
    return found[0]


def is_verdict(line, witness, verdict):
    found = check(line, witness)
    expect(found["verdict"] == verdict, f"{witness} is not {verdict}: {found}")
    return found["text"]


@case("timeline/stderr-is-a-file", builds=PLAIN)
def file(context):
    """Its bytes, counted by the kernel, are the bytes that are in it, behind what was there before. What is exported for
    others does not say where it is."""
    folder = context.scratch / "logs-of-somebody"
    folder.mkdir()
    log = folder / "a.log"
    log.write_text("what was there before\n")
    with log.open("a") as stderr:
        watched, crash = crashed_into(context, stderr)
    line = timeline(crash)
    text = is_verdict(line, "stderr", "agrees")
    got = log.stat().st_size - len("what was there before\n")
    if not seen_first(line):
        expect(text.startswith(f"{log} got {got} bytes, with Go's error") and line["stderr"]["bytes"] == got,
               f"{text}; {line['stderr']}; the file got {got}")
    expect((line["stderr"]["kind"], line["stderr"]["name"]) == ("file", str(log)), f"{line['stderr']}")
    name = pathlib.Path(crash["dossier"]).name
    archive, _ = exported(context, context.scratch / "state", name, "--redact")
    for member, content in files_of(archive, name).items():
        expect(b"logs-of-somebody" not in content, f"the path of stderr is in {member}")


def crashed_into(context, stderr, **options):
    watched = Watched(context, "--state-dir", context.scratch / "state", pace=PACE, stderr=stderr, **options)
    watched.target.release()
    expect(watched.target.wait(60) == 2, "status of the target")
    expect(watched.mapwatch.wait(20) == 0, "status of mapwatch")
    return watched, watched.mapwatch.kind("crash")[0]


@case("timeline/stderr-is-a-pipe", builds=PLAIN)
def pipe(context):
    _, crash = crashed(context, context.scratch / "state", pace=PACE)
    line = timeline(crash)
    expect("a pipe (pipe:[" in is_verdict(line, "stderr", "unreadable"), f"{line['checks']}")


@case("timeline/the-kernels-log", builds=PLAIN)
def kernel_log(context):
    """A line that names the process, between the crash and its end, is found; one of before is not."""
    if not os.access("/dev/kmsg", os.W_OK):
        raise Skipped("no /dev/kmsg")
    reader, writer = full_pipe()
    watched = Watched(context, "--state-dir", context.scratch / "state", pace=PACE, stderr=writer)
    os.close(writer)
    target = watched.target

    def say(text):
        with open("/dev/kmsg", "w") as log:
            log.write(f"<6>mapwatch-test[{target.pid}]: {text}\n")
    say("before")
    target.release()
    crash = wait_for("the report", lambda: watched.mapwatch.kind("crash"), 60)[0]
    wait_for("a thread in write(2)", lambda: stuck_in_write(target.pid), 10)
    say("after \x1b[31m")
    while os.read(reader, 65536):
        pass
    os.close(reader)
    expect(target.wait(20) == 2 and watched.mapwatch.wait(20) == 0, "statuses")
    line = timeline(crash)
    is_verdict(line, "kernel_log", "differs")
    told = [e["text"] for e in events(line, "kernel_log")]
    expect(len(told) == 1 and told[0].startswith(f"mapwatch-test[{target.pid}]: after "), f"lines: {told}")
    expect("\x1b" not in told[0], "a control character")
    in_order(line, ["fatal", "kernel_log"])  # its clock is its own: by microseconds it may seem to come after the end
    in_order(line, ["fatal", "gone"])


@case("timeline/the-kernels-log-is-silent", builds=PLAIN)
def kernel_log_silent(context):
    if not os.access("/dev/kmsg", os.R_OK):
        raise Skipped("no /dev/kmsg")
    _, crash = crashed(context, context.scratch / "state", pace=PACE)
    is_verdict(timeline(crash), "kernel_log", "silent")


class Journald(Process):
    """A journald of its own, in a mount namespace that the others enter."""

    def __init__(self, context):
        if not os.access(JOURNALD, os.X_OK) or not shutil.which("systemd-cat") or not shutil.which("nsenter"):
            raise Skipped("no systemd-journald")
        super().__init__(["unshare", "--mount", "--kill-child", "--fork", "sh", "-c",
                          f"for d in /run/systemd /run/log; do mkdir -p $d && mount -t tmpfs none $d || exit 1; done; {JOURNALD} & "
                          f"echo $!; wait"])
        context.own(self)
        line = self.out.wait(r"^\d+$", 10)
        if not line:
            raise Skipped(f"no journald: {self.err.text()[-300:]}")
        self.daemon = int(line)
        self.wrap = ("nsenter", "--mount", "--target", str(self.daemon))
        socket = pathlib.Path(f"/proc/{self.daemon}/root/run/systemd/journal/stdout")
        try:
            wait_for("journald's socket", socket.exists, 20)
        except Exception:
            raise Skipped(f"journald does not run here: {self.err.text()[-300:]}") from None
        # stdout stays the test's, stderr is the journal's; all of it by exec, so that the process keeps its number.
        self.target = (*self.wrap, "sh", "-c", "exec 3>&1; exec systemd-cat sh -c 'exec \"$@\" >&3' sh \"$@\"", "sh")


def with_journald(context, wrap_target=True):
    journald = Journald(context)
    target = context.own(Target(build(NEWEST), "write_write", pace=PACE, wrap=journald.target if wrap_target else journald.wrap))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--run-dir", context.scratch / "run", "--state-dir",
                        context.scratch / "state", wrap=journald.wrap).attached(target.pid)
    return journald, target, mapwatch


@case("timeline/the-journal-has-it", builds=PLAIN)
def journal(context):
    """A service's stderr is a socket of journald's: a real one, asked by a real journalctl."""
    _, target, mapwatch = with_journald(context)
    target.release()
    expect(target.wait(60) == 2 and mapwatch.wait(30) == 0, f"statuses: {mapwatch.err.text()[-300:]}")
    line = timeline(mapwatch.kind("crash")[0])
    is_verdict(line, "journal", "agrees")
    expect("a socket (socket:[" in is_verdict(line, "stderr", "unreadable"), f"{line['checks']}")
    if not seen_first(line):
        # Its times are cut to the microsecond.
        expect(at(line, "go_says") < at(line, "journal") + 1000, f"{line['events']}")
    expect(line["complete"], "not complete")


@case("timeline/the-journal-is-silent", builds=PLAIN)
def journal_silent(context):
    _, target, mapwatch = with_journald(context, wrap_target=False)
    target.release()
    expect(target.wait(60) == 2 and mapwatch.wait(30) == 0, "statuses")
    line = timeline(mapwatch.kind("crash")[0])
    is_verdict(line, "journal", "silent")
    expect(line["complete"], "not complete")


@case("timeline/a-journald-that-hangs", builds=PLAIN)
def journal_hangs(context):
    """Its socket takes Go's words and nobody reads them. The report does not wait; the dossier says what is missing."""
    journald, target, mapwatch = with_journald(context)
    os.kill(journald.daemon, signal.SIGSTOP)
    try:
        target.release()
        expect(target.wait(60) == 2 and mapwatch.wait(30) == 0, f"statuses: {mapwatch.err.text()[-300:]}")
    finally:
        os.kill(journald.daemon, signal.SIGCONT)
    crash = mapwatch.kind("crash")[0]
    line = timeline(crash)
    is_verdict(line, "journal", "missing")
    expect(line["complete"], "not complete")
    now = line["clocks"]["crash"]
    written = (pathlib.Path(crash["dossier"]) / "timeline.json").stat().st_mtime_ns - now["realtime_ns"] + now["monotonic_ns"]
    expect(crash["printed_ns"] < written, "the report waited for the journal")
    in_order(line)
