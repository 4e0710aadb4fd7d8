"""A crashing process is frozen for its report and always let go: whoever is killed, whoever hangs."""
import os
import pathlib
import random
import re
import signal
import subprocess

from .fixtures import NEWEST, build
from .harness import Failed, case, expect, wait_for
from .lifecycle import probe_bytes, run_args, untouched
from .process import Mapwatch, Process, Target, run_to_end, wait_gone

PLAIN = [(NEWEST, "plain")]
LONG = ["--max-freeze", "60s"]  # nothing in a test ends by that


def state(pid):
    """The letter of /proc/PID/stat: T is stopped; None when there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def all_stopped(pid):
    try:
        return all(t.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "T"
                   for t in pathlib.Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False


class Watched:
    """A target and its mapwatch, with a run directory of their own."""

    def __init__(self, context, *flags, scenario="write_write", pace="50us", binary=None, mapwatch_env=None,
                 mapwatch_limit=None, target=None, **options):
        self.context = context
        context.watched = self
        self.run_dir = context.scratch / f"run-{random.getrandbits(32):08x}"
        self.target = target or context.own(Target(binary or build(NEWEST), scenario, pace=pace, **options))
        self.pid = self.target.pid
        self.mapwatch = Mapwatch(context, "watch", "-p", self.pid, "--run-dir", self.run_dir, *flags,
                                 env=mapwatch_env, preexec_fn=mapwatch_limit)
        self.mapwatch.attached(self.target.pid)
        context.stack.callback(self.end_guardian)

    def record(self):
        """The held file's lines by name; None when there is none."""
        files = list(self.run_dir.glob("*.held"))
        if not files:
            return None
        return {words[0]: words[1:] for words in map(str.split, files[0].read_text().splitlines())}

    def guardian(self):
        return int(self.record()["guardian"][0])

    def end_guardian(self):
        """Nothing is left behind by a case that failed in the middle."""
        record = self.record()
        if record and (pid := int(record["guardian"][0])) and os.path.exists(f"/proc/{pid}"):
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "mapwatch-guard":
                os.kill(pid, signal.SIGKILL)

    def hang(self):
        """mapwatch stands still; all of its threads."""
        self.mapwatch.signal(signal.SIGSTOP)
        wait_for("mapwatch to stop", lambda: all_stopped(self.mapwatch.pid), 10)

    def crash(self):
        """The target goes into its crash while mapwatch hangs: frozen, nobody there but the guardian."""
        self.hang()
        self.target.release()
        wait_for("the freeze", lambda: all_stopped(self.target.pid), 60)

    def kill_guardian(self):
        pid = self.guardian()
        os.kill(pid, signal.SIGKILL)
        wait_for("the guardian's end", lambda: state(pid) in (None, "Z"), 10)

    def kill_both(self):
        self.kill_guardian()
        self.mapwatch.signal(signal.SIGKILL)
        self.mapwatch.wait()

    def thaw(self):
        status, out, err = run_to_end(self.context, "thaw", "--run-dir", self.run_dir)
        expect(status == 0 and f"PID {self.pid} runs on" in out, f"status {status}: {out}{err}")

    def died_of_its_own(self):
        """Go's own status and text: nobody could tell that the process was held."""
        try:
            status = self.target.wait(120)  # a race that Go sees is a matter of chance, and of idle CPUs
        except Failed as why:
            raise Failed(f"{why}; state {state(self.target.pid)}, record {self.record()}") from None
        expect(status == 2, f"the target ended with {status}: {self.target.err.text()[-400:]}")
        expect(re.fullmatch("fatal error: concurrent map .*", self.target.fatal() or ""), f"Go said {self.target.fatal()}")
        expect(re.search(r"^goroutine \d+ \[running\]:$", self.target.err.text(), re.M), "no traceback of Go's own")

    def one_crash(self):
        expect(self.mapwatch.wait(20) == 0, f"status {self.mapwatch.child.returncode}: {self.mapwatch.err.text()[-400:]}")
        crashes = self.mapwatch.kind("crash")
        expect(len(crashes) == 1, f"{len(crashes)} crash objects, not 1")
        expect("fatal error: " + crashes[0]["reason"] == self.target.fatal(),
               f"Go said '{self.target.fatal()}', mapwatch '{crashes[0]['reason']}'")
        return crashes[0]

    def nothing_left(self):
        expect(self.record() is None, f"a record is left: {self.record()}")


def frozen_crash(context, version, mode="plain", scenario="write_write", flags=()):
    watched = Watched(context, *flags, binary=build(version, mode), scenario=scenario)
    record = watched.record()
    expect(record and int(record["process"][0]) == watched.target.pid and record["site"],
           f"no record before the first freeze: {record}")
    guardian = watched.guardian()
    watched.target.release()
    watched.died_of_its_own()
    crash = watched.one_crash()
    expect(crash["frozen_ns"] and crash["frozen_ns"] > 0, f"frozen_ns {crash['frozen_ns']}")
    watched.nothing_left()
    wait_gone(guardian)
    return watched, crash


for _version, _mode in ((NEWEST, "plain"), ("1.22.12", "stripped"), ("1.19.13", "pie"), ("1.17.13", "plain"),
                        (NEWEST, "pie-stripped")):
    case(f"freeze/crash/{_version}-{_mode}", builds=[(_version, _mode)])(
        lambda context, v=_version, m=_mode: frozen_crash(context, v, m))


@case("freeze/many-goroutines-freeze-once", builds=PLAIN)
def storm(context):
    frozen_crash(context, NEWEST, scenario="storm")


@case("freeze/text-says-how-long", builds=PLAIN)
def text_form(context):
    target = context.own(Target(build(NEWEST), "write_write", pace="200us"))
    mapwatch = Mapwatch(context, "watch", "-p", target.pid, "--run-dir", context.scratch / "run", output=False)
    mapwatch.attached(target.pid)
    target.release()
    expect(target.wait(60) == 2 and mapwatch.wait(15) == 0, "statuses")
    expect(re.search(r"^Frozen: +for [\d.]+[mnu]?s$", mapwatch.out.text(), re.M), mapwatch.out.text()[-600:])


@case("freeze/on-crash-none-freezes-nothing", builds=PLAIN)
def none(context):
    watched = Watched(context, "--on-crash", "none")
    watched.nothing_left()
    watched.target.release()
    watched.died_of_its_own()
    expect(watched.one_crash()["frozen_ns"] is None, "it was frozen")


@case("freeze/run-passes-status-and-text", builds=PLAIN)
def run(context):
    mapwatch = Mapwatch(context, "run", "--run-dir", context.scratch / "run", *run_args("write_write", pace="200us"))
    expect(mapwatch.wait(60) == 2, f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
    crash = mapwatch.kind("crash")
    expect(len(crash) == 1 and crash[0]["frozen_ns"] > 0, f"crashes {crash}")
    expect("fatal error: " + crash[0]["reason"] in mapwatch.err.text(), "Go's own text is missing")


@case("freeze/parent-sees-one-short-stop", builds=PLAIN)
def parent(context):
    """A parent that waits with WUNTRACED, as a job-control shell does: stopped, continued, ended, each once."""
    watched = Watched(context)
    pid, seen = watched.target.pid, []
    watched.target.release()
    while not seen or seen[-1][0] not in ("exited", "killed"):
        _, status = os.waitpid(pid, os.WUNTRACED | os.WCONTINUED)
        if os.WIFSTOPPED(status):
            seen.append(("stopped", os.WSTOPSIG(status)))
        elif os.WIFCONTINUED(status):
            seen.append(("continued", 0))
        elif os.WIFEXITED(status):
            seen.append(("exited", os.WEXITSTATUS(status)))
        else:
            seen.append(("killed", os.WTERMSIG(status)))
    watched.target.child.returncode = 2  # reaped here
    # Two reports that the parent does not fetch in time become the later one (wait(2)): the stop itself may be unseen.
    seen = [s for s in seen if s != ("continued", 0)]
    expect(seen in ([("stopped", signal.SIGSTOP), ("exited", 2)], [("exited", 2)]), f"the parent saw {seen}")


@case("freeze/kill-9-of-mapwatch-before", builds=PLAIN)
def kill_before(context):
    watched = Watched(context, *LONG)
    guardian = watched.guardian()
    watched.mapwatch.signal(signal.SIGKILL)
    watched.mapwatch.wait()
    wait_gone(guardian)
    watched.nothing_left()
    watched.target.release()
    watched.died_of_its_own()


@case("freeze/kill-9-of-mapwatch-while-frozen", builds=PLAIN)
def kill_while(context):
    watched = Watched(context, *LONG)
    guardian = watched.guardian()
    watched.crash()
    watched.mapwatch.signal(signal.SIGKILL)
    watched.died_of_its_own()
    wait_gone(guardian)
    watched.nothing_left()


@case("freeze/mapwatch-hangs", builds=PLAIN)
def hangs(context):
    """The guardian lets go at --max-freeze; mapwatch, when it comes to, does not touch the process again and says so."""
    watched = Watched(context, "--max-freeze", "700ms")
    watched.hang()
    watched.target.release()
    watched.died_of_its_own()
    expect(all_stopped(watched.mapwatch.pid), "mapwatch did not hang to the end")
    watched.mapwatch.signal(signal.SIGCONT)
    crash = watched.one_crash()
    expect(crash["frozen_ns"] >= 700_000_000, f"frozen for {crash['frozen_ns']} ns: less than --max-freeze")
    expect("the guardian ended its freeze" in watched.mapwatch.err.text(), watched.mapwatch.err.text()[-400:])
    watched.nothing_left()


@case("freeze/kill-9-of-guardian-before", builds=PLAIN)
def kill_guardian(context):
    """Another one takes its place before anything is frozen again."""
    watched = Watched(context, *LONG)
    first = watched.guardian()
    watched.kill_guardian()
    wait_for("another guardian", lambda: watched.guardian() != first, 10)
    wait_for("it to be heard of", lambda: "starting another" in watched.mapwatch.err.text(), 10)
    watched.target.release()
    watched.died_of_its_own()
    expect(watched.one_crash()["frozen_ns"] > 0, "not frozen with the second guardian")


@case("freeze/kill-9-of-guardian-while-frozen", builds=PLAIN)
def kill_guardian_while(context):
    watched = Watched(context, *LONG)
    watched.crash()
    watched.kill_guardian()
    expect(state(watched.target.pid) == "T", "it was let go too early to show anything")
    watched.mapwatch.signal(signal.SIGCONT)
    watched.died_of_its_own()
    expect(watched.one_crash()["frozen_ns"] > 0, "frozen_ns")
    watched.nothing_left()


@case("freeze/guardian-killed-again-and-again", builds=PLAIN)
def no_guardian(context):
    """Without a guardian nothing is frozen, and the crash is still told."""
    watched = Watched(context)
    for n in range(6):
        expect(not watched.mapwatch.err.wait("are not frozen", 0), "gave up early")
        pid = watched.guardian()
        watched.kill_guardian()
        wait_for("another guardian or none", lambda pid=pid: watched.guardian() != pid or
                 "are not frozen" in watched.mapwatch.err.text(), 10)
    expect(watched.mapwatch.err.wait("are not frozen", 10), watched.mapwatch.err.text()[-400:])
    watched.target.release()
    watched.died_of_its_own()
    expect(watched.one_crash()["frozen_ns"] is None, "frozen without a guardian")


def both_killed(context, **options):
    """A target that stays stopped: nobody is left to let it go."""
    watched = Watched(context, *LONG, **options)
    watched.crash()
    watched.kill_both()
    expect(state(watched.target.pid) == "T", "somebody let it go")
    expect(watched.record() is not None, "no record is left to thaw by")
    return watched


@case("freeze/both-killed-then-thaw", builds=PLAIN)
def thaw(context):
    watched = both_killed(context)
    watched.thaw()
    watched.died_of_its_own()
    watched.nothing_left()
    status, out, _ = run_to_end(context, "thaw", "--all", "--run-dir", watched.run_dir)
    expect(status == 0 and "holds no process" in out, f"the second thaw says {out}")


@case("freeze/both-killed-then-the-next-start", builds=[(NEWEST, "plain"), ("1.17.13", "plain")])
def next_start(context):
    """Go 1.17: the crash is at the entry of throw, single-stepped."""
    watched = both_killed(context, binary=build("1.17.13"))
    other = context.own(Target(build(NEWEST), "rw3", pace="1ms"))
    mapwatch = Mapwatch(context, "watch", "-p", other.pid, "--run-dir", watched.run_dir).attached(other.pid)
    watched.died_of_its_own()
    expect(f"PID {watched.target.pid} was left frozen" in mapwatch.err.text(), mapwatch.err.text()[-400:])
    mapwatch.stop()
    watched.nothing_left()


@case("freeze/mapwatch-hangs-and-guardian-killed-then-thaw-by-name", builds=PLAIN)
def thaw_by_name(context):
    watched = Watched(context, *LONG)
    watched.crash()
    watched.kill_guardian()
    status, out, _ = run_to_end(context, "thaw", "--run-dir", watched.run_dir)
    expect(status == 0 and "live mapwatch" in out, f"status {status}: {out}")
    expect(state(watched.target.pid) == "T", "what a live mapwatch holds was let go without its name")
    status, out, _ = run_to_end(context, "thaw", "-p", watched.target.pid, "--run-dir", watched.run_dir)
    expect(status == 0 and "runs on" in out, f"status {status}: {out}")
    watched.died_of_its_own()
    watched.mapwatch.signal(signal.SIGCONT)
    watched.one_crash()


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    wait_for("the stop", lambda: all_stopped(pid), 10)


@case("freeze/stopped-by-others-stays-stopped", builds=PLAIN)
def others_stop(context):
    """Neither the guardian, nor thaw, nor the next start continues what mapwatch did not stop."""
    watched = Watched(context, *LONG, scenario="rw3", pace="1ms")
    watched.target.release()
    stop(watched.target.pid)
    guardian = watched.guardian()
    watched.mapwatch.signal(signal.SIGKILL)
    watched.mapwatch.wait()
    wait_gone(guardian)
    expect(state(watched.target.pid) == "T", "the guardian continued it")
    os.kill(watched.target.pid, signal.SIGCONT)

    mapwatch = Mapwatch(context, "watch", "-p", watched.target.pid, "--run-dir", watched.run_dir).attached(watched.target.pid)
    watched.mapwatch = mapwatch
    watched.hang()
    watched.kill_guardian()
    stop(watched.target.pid)
    mapwatch.signal(signal.SIGKILL)
    mapwatch.wait()
    status, out, _ = run_to_end(context, "thaw", "--run-dir", watched.run_dir)
    expect(status == 0 and "stays stopped" in out, f"status {status}: {out}")
    expect(state(watched.target.pid) == "T", "thaw continued it")
    os.kill(watched.target.pid, signal.SIGCONT)
    watched.target.finish()


@case("freeze/stopped-by-others-while-frozen-stays-stopped", builds=PLAIN)
def others_stop_while(context):
    for end in ("mapwatch lets go", "the guardian lets go", "thaw lets go"):
        watched = Watched(context, *LONG)
        watched.crash()
        os.kill(watched.target.pid, signal.SIGSTOP)
        if end == "mapwatch lets go":
            watched.mapwatch.signal(signal.SIGCONT)
            expect(watched.mapwatch.err.wait("stays stopped", 10), watched.mapwatch.err.text()[-400:])
        elif end == "the guardian lets go":
            guardian = watched.guardian()
            watched.mapwatch.signal(signal.SIGKILL)
            wait_gone(guardian)
        else:
            watched.kill_guardian()
            watched.mapwatch.signal(signal.SIGKILL)
            watched.mapwatch.wait()
            _, out, _ = run_to_end(context, "thaw", "--run-dir", watched.run_dir)
            expect("stays stopped" in out, out)
        # A thread whose registers were read walks back into the stop by itself. Continued, it would have died of its
        # error by now; what a second goroutine printed on its way to the stop tells nothing.
        wait_for(f"{end}: all threads to stand still", lambda: all_stopped(watched.target.pid), 10)
        expect(watched.target.running(), f"{end}: continued against the wish of who stopped it")
        os.kill(watched.target.pid, signal.SIGCONT)
        watched.died_of_its_own()


@case("freeze/guardian-holds-no-probe", builds=PLAIN)
def no_probe(context):
    """A guardian that lives on, with the ring in its hands, keeps nothing of mapwatch's in the kernel."""
    watched = Watched(context, scenario="rw3", pace="1ms")
    probes = probe_bytes(context, watched.target.pid)
    guardian = watched.guardian()
    stop(guardian)
    watched.mapwatch.signal(signal.SIGKILL)
    watched.mapwatch.wait()
    wait_for("original text", lambda: untouched(watched.target.pid, probes), 10)
    expect(state(guardian) == "T", "the guardian is gone: nothing was shown")
    names = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{guardian}/fd").iterdir()]
    expect(not [n for n in names if "bpf_link" in n or "bpf-prog" in n or "perf_event" in n], f"it holds {names}")
    os.kill(guardian, signal.SIGCONT)
    wait_gone(guardian)
    expect(watched.target.running(), "the target is dead")


@case("freeze/guardian-is-on-its-own", builds=PLAIN)
def own_session(context):
    """Neither a ^C at mapwatch's terminal nor the end of its cgroup reaches the guardian, and it holds no output open."""
    watched = Watched(context, scenario="rw3", pace="1ms")
    guardian = watched.guardian()
    expect(os.getsid(guardian) == guardian != os.getsid(watched.mapwatch.pid), "no session of its own")
    def cgroup(pid):
        return [line for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
                if line.startswith("0::") or "name=systemd" in line]
    expect(not set(cgroup(guardian)) & set(cgroup(watched.mapwatch.pid)), f"cgroups {cgroup(guardian)}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(guardian, number)
    outputs = {os.readlink(f"/proc/{guardian}/fd/{fd}") for fd in (0, 1, 2)}
    expect(outputs == {"/dev/null"}, f"it holds {outputs}")
    watched.mapwatch.stop()
    wait_gone(guardian)
    expect("starting another" not in watched.mapwatch.err.text(), "it died of a signal that it should pass over")


@case("freeze/pid-1-of-a-container", builds=PLAIN)
def container(context):
    """Process 1 of a PID namespace ignores signals that it does not handle, but not this stop."""
    shell = context.own(Process(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", build(NEWEST), "-pace", "200us",
                                 "-start-on-stdin", "write_write"]))
    expect(shell.out.wait("^ready$", 10), shell.err.text()[-400:])
    children = pathlib.Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
    pid = int(children[0])
    mapwatch = Mapwatch(context, "watch", "-p", pid, "--run-dir", context.scratch / "run").attached(pid)
    shell.child.stdin.write("go\n")
    shell.child.stdin.flush()
    expect(shell.wait(60) == 2, f"status {shell.child.returncode}: {shell.err.text()[-400:]}")
    mapwatch.wait(15)
    crashes = mapwatch.kind("crash")
    expect(len(crashes) == 1 and crashes[0]["frozen_ns"] > 0, f"crashes {crashes}")


def one_round(context, dice):
    """Somebody is killed or stopped at a random instant around the crash; the target must not be left standing."""
    watched = Watched(context, "--max-freeze", "1s", pace=dice.choice(["0", "50us", "500us"]))
    guardian = watched.guardian()
    what = dice.choice(["mapwatch", "guardian", "both", "mapwatch while it hangs"])
    if what == "mapwatch while it hangs":
        watched.hang()
    watched.target.release()
    # The instant itself is what is random here: there is no event to wait for.
    subprocess.run(["sleep", f"{dice.random() ** 2 * 0.2:.6f}"], check=True)
    if what in ("guardian", "both") and state(guardian) is not None:
        os.kill(guardian, signal.SIGKILL)
    if what != "guardian":
        watched.mapwatch.signal(signal.SIGKILL)
        watched.mapwatch.wait()
        run_to_end(context, "thaw", "--run-dir", watched.run_dir)
    # The target runs on, or it dies of its own error; it does not stand still once nobody is there to freeze it.
    if what == "guardian":
        wait_for("the end of the target or another guardian",
                 lambda: not watched.target.running() or (watched.record() and watched.guardian() != guardian), 30)
        if watched.target.running():
            watched.mapwatch.stop()
        else:
            watched.one_crash()
    else:
        wait_gone(guardian)
    wait_for(f"{what} killed: the target to go on", lambda: state(watched.target.pid) != "T", 10)
    if not watched.target.running():
        watched.died_of_its_own()
    wait_for("the record's end", lambda: watched.record() is None, 10)
    watched.target.close()


@case("freeze/killed-at-random-instants", builds=PLAIN)
def random_kills(context):
    seed = random.getrandbits(32)
    dice = random.Random(seed)
    for n in range(100 if context.full else 25):
        try:
            one_round(context, dice)
        except Exception as error:
            raise type(error)(f"round {n} of seed {seed}: {error}") from None
