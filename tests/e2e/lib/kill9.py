"""kill -9 at any moment: the target runs on, its text is as in its file, and its exit status is its own."""
import json
import os
import pathlib
import random
import signal
import time

from .fixtures import NEWEST, build
from .harness import ON_MULTI_LINK, case, expect, preload, wait_for
from .lifecycle import PLAIN, probe_bytes, untouched
from .process import Mapwatch, Target

LEAK = "leaking uprobe"

# Kills the program some microseconds after it asked the kernel for a link of several probes: while the breakpoints are
# being written.
KILLS_IN_ATTACH = ON_MULTI_LINK + """
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static pid_t victim;
__attribute__((constructor)) static void start(void) { victim = getpid(); }
static long now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static int on_multi_link(unsigned count) {
  long end = now_us() + atol(getenv("KILL_AFTER_US"));
  if (count > 4 && fork() == 0) {
    while (now_us() < end) {}
    kill(victim, SIGKILL);
    _exit(0);
  }
  return 0;
}
"""


def kernel_says():
    """The kernel log's lines about uprobes that it could not unregister."""
    with open("/dev/kmsg", "rb", buffering=0) as kmsg:
        os.set_blocking(kmsg.fileno(), False)
        lines = []
        while True:
            try:
                line = kmsg.read(8192)
            except OSError as error:  # EPIPE: the record was overwritten meanwhile
                if error.errno == 32:
                    continue
                raise
            if line is None:
                return lines
            if LEAK.encode() in line:
                lines.append(line.decode(errors="replace").strip())


class Rounds:
    """One long-lived target for many mapwatches, each killed; a fresh target where that one is killed, too."""

    def __init__(self, context, scenario, pace, seed, flags=()):
        self.context, self.scenario, self.pace, self.flags = context, scenario, pace, flags
        self.random = random.Random(seed)
        self.target = context.own(Target(build(NEWEST), scenario, pace=pace, held=False))
        self.probes = probe_bytes(context, self.target.pid)
        # How long an attach takes from the start of the process, and a detach from the signal, on this machine now.
        begin = time.monotonic()
        mapwatch = self.start().attached(self.target.pid)
        self.attach_s = time.monotonic() - begin
        begin = time.monotonic()
        mapwatch.stop()
        self.detach_s = time.monotonic() - begin

    def start(self, **options):
        return Mapwatch(self.context, "watch", "-p", self.target.pid, *self.flags, **options)

    def kill(self, mapwatch):
        mapwatch.signal(signal.SIGKILL)
        mapwatch.wait(30)
        mapwatch.close()
        expect(self.target.running(), f"the target died: {self.target.err.text()[-600:]}")
        wait_for("original text", lambda: untouched(self.target.pid, self.probes), 5)

    def idle(self):
        self.kill(self.start().attached(self.target.pid))

    def attaching(self):
        mapwatch = self.start()
        time.sleep(self.random.uniform(0, self.attach_s))
        self.kill(mapwatch)

    def in_attach(self):
        """Killed by its own hand while the kernel writes the breakpoints."""
        env = dict(os.environ, LD_PRELOAD=str(preload(self.context, "kill_in_attach", KILLS_IN_ATTACH)),
                   KILL_AFTER_US=str(self.random.randrange(0, 1500)))
        mapwatch = self.start(env=env)
        expect(mapwatch.wait() in (-signal.SIGKILL, 1), f"status {mapwatch.child.returncode}: {mapwatch.err.text()[-400:]}")
        self.kill(mapwatch)

    def detaching(self):
        mapwatch = self.start().attached(self.target.pid)
        mapwatch.signal(signal.SIGINT)
        time.sleep(self.random.uniform(0, self.detach_s))
        self.kill(mapwatch)

    def together(self):
        """Both at once, in either order; then a new process of the same file, which must start unpatched."""
        mapwatch = self.start().attached(self.target.pid)
        victims = [mapwatch, self.target]
        self.random.shuffle(victims)
        for victim in victims:
            victim.signal(signal.SIGKILL)
        expect(self.target.wait() == -signal.SIGKILL, f"the target ended with {self.target.child.returncode}")
        mapwatch.wait(30)
        mapwatch.close()
        self.target.close()
        self.target = self.context.own(Target(build(NEWEST), self.scenario, pace=self.pace, held=False))
        expect(untouched(self.target.pid, self.probes), "a process that was started later is patched")

    def turns(self):
        """How often the target's threads were given a CPU (the third figure of schedstat)."""
        return sum(int(task.joinpath("schedstat").read_text().split()[2])
                   for task in pathlib.Path(f"/proc/{self.target.pid}/task").iterdir())

    def end(self):
        before = self.turns()  # the last target may be a moment old
        wait_for("the target to work", lambda: self.turns() > before + 50, 10)
        measured = self.target.finish()
        expect(measured["ops"] > 0, "the target stood still")


def rounds(context, how, count, scenario="rw3", pace="1ms", seed=1, flags=()):
    """`count` rounds of one way to be killed. The lines that the kernel wrote meanwhile."""
    before = len(kernel_says())
    run = Rounds(context, scenario, pace, seed, flags)
    for number in range(count):
        try:
            getattr(run, how)()
        except Exception as error:
            error.args = (f"round {number} of {how}: {error}",)
            raise
    run.end()
    return kernel_says()[before:]


def kill_case(name, how, quick_rounds, full_rounds, **options):
    @case(f"kill9/{name}", builds=PLAIN)
    def run(context):
        said = rounds(context, how, full_rounds if context.full else quick_rounds, **options)
        expect(not said, f"the kernel left uprobes behind: {said[:2]}")


kill_case("while-idle", "idle", 3, 25)
kill_case("in-a-storm-of-hits", "idle", 3, 25, pace="0")
kill_case("while-attaching", "attaching", 4, 50)
kill_case("while-breakpoints-are-written", "in_attach", 5, 50)
kill_case("while-detaching", "detaching", 5, 50)
kill_case("together-with-its-target", "together", 3, 50)


@case("kill9/of-run-lets-its-child-run-on", builds=PLAIN)
def of_run(context):
    """At any instant: before the fork there is no child, after it the child runs to its end, watched or not."""
    instants = random.Random(7)
    command = ["run", "--", build(NEWEST), "-pace", "100us", "-for", "300ms", "rw3"]
    begin = time.monotonic()
    whole = Mapwatch(context, *command)
    expect(whole.out.wait("^ready$", 15), f"the fixture did not start: {whole.err.text()[-400:]}")
    start_s = time.monotonic() - begin
    expect(whole.wait() == 0, f"status {whole.child.returncode}")
    rounds = 50 if context.full else 4
    for number in range(rounds):
        mapwatch = Mapwatch(context, *command)
        last = number == rounds - 1
        if last:  # whatever the random instants met: once the child is sure to be there
            expect(mapwatch.out.wait("^ready$", 15), f"the fixture did not start: {mapwatch.err.text()[-400:]}")
        else:
            time.sleep(instants.uniform(0, 1.2 * start_s))
        mapwatch.signal(signal.SIGKILL)
        mapwatch.wait(20)
        said = mapwatch.out.text().splitlines()  # to the end of the pipe, which the child holds
        expect(said or not last, "the child that was ready said nothing to its end")
        if said:
            expect(json.loads(said[-1])["ops"] > 0, f"round {number}: the child did not reach its end: {said}")
