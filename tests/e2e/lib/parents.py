"""What the parent of a crashing process sees of its freeze, and what it makes of it."""
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import threading
import time

from .fixtures import NEWEST, build
from .freeze import LONG, PLAIN, Watched, all_stopped, state
from .harness import Skipped, case, expect, wait_for
from .phases import standing
from .process import Mapwatch, Process, wait_gone

# As each is given a program; all of them stop themselves when that program is stopped.
WRAPPERS = {
    "runuser": lambda command: ["runuser", "-u", "root", "--", *command],
    "su": lambda command: ["su", "root", "-c", "exec " + " ".join(command)],
    "script": lambda command: ["script", "-qec", "exec " + " ".join(command), "/dev/null"],
    "sudo": lambda command: ["sudo", "-n", *command],
}


def only_child(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    expect(len(children) == 1, f"process {pid} has children {children}")
    return int(children[0])


def innermost(pid):
    """Down from a program that runs another one (sudo may be two processes)."""
    while pathlib.Path(f"/proc/{pid}/comm").read_text().strip() in WRAPPERS:
        pid = only_child(pid)
    return pid


class Wrapped(Watched):
    """A target under a program that started it; `wrapper` is that program."""

    def __init__(self, context, wrapper, *flags):
        self.context, self.run_dir = context, context.scratch / "run"
        command = [str(build(NEWEST)), "-pace", "50us", "-start-on-stdin", "write_write"]
        self.wrapper = context.own(Process(WRAPPERS[wrapper](command), env=dict(os.environ, SHELL="/bin/sh")))
        expect(self.wrapper.out.wait(r"^ready\s*$", 20), f"{wrapper}: {self.wrapper.err.text()[-400:]}")
        self.pid = pid = innermost(self.wrapper.pid)
        self.mapwatch = Mapwatch(context, "watch", "-p", pid, "--run-dir", self.run_dir, *flags).attached(pid)
        context.stack.callback(self.end_guardian)

    def release(self):
        self.wrapper.child.stdin.write("go\n")
        self.wrapper.child.stdin.flush()

    def frozen_while_mapwatch_hangs(self):
        self.hang()
        self.release()
        wait_for("the freeze", lambda: all_stopped(self.pid), 60)
        wait_for("the wrapper to stop itself", lambda: state(self.wrapper.pid) == "T", 10)

    def ended_as_its_child(self):
        status = self.wrapper.wait(30)
        expect(status == 2, f"{self.wrapper.command[0]} ended with {status}: {self.wrapper.err.text()[-400:]}")
        said = self.wrapper.out.text() + self.wrapper.err.text()
        expect("fatal error: concurrent map " in said, f"Go's own text is missing: {said[-400:]}")


def stops_itself(context, name):
    if shutil.which(name) is None:
        raise Skipped(f"there is no {name}")
    wrapped = Wrapped(context, name)
    wrapped.release()
    wrapped.ended_as_its_child()
    expect(wrapped.mapwatch.wait(20) == 0, wrapped.mapwatch.err.text()[-400:])
    crashes = wrapped.mapwatch.kind("crash")
    expect(len(crashes) == 1 and crashes[0]["frozen_ns"] > 0, f"crashes {crashes}")


for _name in WRAPPERS:
    case(f"freeze/parent-that-stops-itself/{_name}", builds=PLAIN)(lambda context, n=_name: stops_itself(context, n))


@case("freeze/parent-that-stops-itself/mapwatch-killed", builds=PLAIN)
def guardian_wakes(context):
    wrapped = Wrapped(context, "runuser", *LONG)
    guardian = wrapped.guardian()
    wrapped.frozen_while_mapwatch_hangs()
    wrapped.mapwatch.signal(signal.SIGKILL)
    wrapped.ended_as_its_child()
    wait_gone(guardian)
    wrapped.nothing_left()


@case("freeze/parent-that-stops-itself/both-killed-then-thaw", builds=PLAIN)
def thaw_wakes(context):
    wrapped = Wrapped(context, "runuser", *LONG)
    wrapped.frozen_while_mapwatch_hangs()
    wrapped.kill_both()
    wrapped.thaw()
    wrapped.ended_as_its_child()
    wrapped.nothing_left()


def foreground_job(context, *before):
    """A shell would take the stop for ^Z: prompt, $? = 147, and the crash in the background."""
    shell, terminal = pty.fork()
    if shell == 0:
        os.environ.update(PS1="PROMPT> ", SHELL="/bin/sh")
        os.execvp("bash", ["bash", "--norc", "-i"])
    context.stack.callback(os.close, terminal)
    context.stack.callback(os.waitpid, shell, 0)
    context.stack.callback(os.kill, shell, signal.SIGKILL)
    seen = ""

    def until(pattern, seconds=60):
        nonlocal seen
        end = time.monotonic() + seconds
        while not re.search(pattern, seen):
            expect(select.select([terminal], [], [], max(0, end - time.monotonic()))[0], f"no {pattern} in {seen[-600:]}")
            seen += os.read(terminal, 65536).decode(errors="replace")

    until("PROMPT> ")
    os.write(terminal, " ".join([*before, str(build(NEWEST)), "-pace 50us -start-on-stdin write_write\n"]).encode())
    until(r"\bready\b")
    pid = innermost(only_child(shell))
    mapwatch = Mapwatch(context, "watch", "-p", pid, "--run-dir", context.scratch / "run").attached(pid)
    os.write(terminal, b"go\n")
    until(r"(?s)fatal error.*PROMPT> ")
    os.write(terminal, b"echo status=$?\n")
    until(r"status=\d")
    expect("status=2" in seen and "Stopped" not in seen, seen[-600:])
    mapwatch.wait(15)
    crashes = mapwatch.kind("crash")
    expect(len(crashes) == 1 and crashes[0]["frozen_ns"] is None, f"crashes {crashes}")
    expect("foreground job" in mapwatch.err.text(), mapwatch.err.text()[-400:])


case("freeze/foreground-job-of-a-shell-is-not-frozen", builds=PLAIN)(foreground_job)
case("freeze/foreground-job-under-runuser-is-not-frozen", builds=PLAIN)(
    lambda context: foreground_job(context, "runuser", "-u", "root", "--"))


@case("freeze/service-manager-sees-one-exit", builds=PLAIN)
def service_manager(context):
    """As systemd does: SIGCHLD, then waitid for ends only, without taking them, and only then the taking."""
    signals = []
    before = signal.signal(signal.SIGCHLD, lambda number, frame: signals.append(number))
    context.stack.callback(signal.signal, signal.SIGCHLD, before)
    watched = Watched(context)
    pid = watched.target.pid
    watched.target.release()
    ends = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    expect((ends.si_code, ends.si_status) == (os.CLD_EXITED, 2), f"the first that waitid tells is {ends}")
    watched.died_of_its_own()
    expect(watched.one_crash()["frozen_ns"] > 0, "not frozen")


@case("freeze/supervisor-script-sees-one-exit", builds=PLAIN)
def supervisor(context):
    """A shell script that starts its service again whenever that ends: it ends once, with Go's own status."""
    script = 'for n in 1 2; do "$@"; echo "ended $n with $?"; [ $n = 2 ] || echo again; set -- true; done'
    shell = context.own(Process(["sh", "-c", script, "sh", build(NEWEST), "-pace", "50us", "-start-on-stdin", "write_write"]))
    expect(shell.out.wait("^ready$", 20), shell.err.text()[-400:])
    pid = only_child(shell.pid)
    mapwatch = Mapwatch(context, "watch", "-p", pid, "--run-dir", context.scratch / "run").attached(pid)
    shell.child.stdin.write("go\n")
    shell.child.stdin.flush()
    expect(shell.wait(60) == 0, f"status {shell.child.returncode}")
    expect(shell.out.lines == ["ready", "ended 1 with 2", "again", "ended 2 with 0"], f"the script saw {shell.out.lines}")
    mapwatch.wait(15)
    crashes = mapwatch.kind("crash")
    expect(len(crashes) == 1 and crashes[0]["frozen_ns"] > 0, f"crashes {crashes}")


@case("freeze/parent-that-continues-its-child", builds=PLAIN)
def continues(context):
    """As tmux and screen do with a program of their window that stops: the process dies while it is being read."""
    watched = Watched(context, "--state-dir", context.scratch / "state")
    pid = watched.target.pid

    def parent():
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                watched.target.child.returncode = os.waitstatus_to_exitcode(status)
                return
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=parent, daemon=True)
    thread.start()
    watched.target.release()
    thread.join(60)
    expect(not thread.is_alive(), f"the target stands: {state(pid)}")
    watched.died_of_its_own()
    watched.one_crash()
    watched.nothing_left()


@case("freeze/parent-that-continues-its-child/while-it-is-read", builds=PLAIN)
def torn(context):
    """What was read of a process that moved is not passed off as one moment."""
    watched = standing(context, "copying", random.Random(1))
    os.kill(watched.target.pid, signal.SIGCONT)
    watched.died_of_its_own()
    watched.mapwatch.signal(signal.SIGCONT)
    crash = watched.one_crash()
    expect(crash["dossier"], f"no dossier: {watched.mapwatch.err.text()[-400:]}")
    text = (pathlib.Path(crash["dossier"]) / "report.txt").read_text()
    expect("Not complete: somebody continued" in text, text[-800:])
    watched.nothing_left()
