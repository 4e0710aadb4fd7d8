"""kill -9 of mapwatch, of its guardian and of both, at each phase of a freeze: the target dies of its own error."""
import ctypes
import os
import pathlib
import random
import signal
import threading

from .freeze import LONG, PLAIN, Watched, all_stopped, state
from .harness import AROUND_SYSCALL, case, expect, preload, wait_for
from .process import run_to_end, wait_gone

# Stops mapwatch in a call of its own choosing, before or after the kernel has carried it out: the test then kills it just
# there. The guardian gets no environment and so none of this.
STANDS_STILL = AROUND_SYSCALL + """
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
static void at(const char* call, const char* side) {
  static int seen;
  const char* wanted = getenv("STAND_IN");
  size_t length = strlen(call);
  if (strncmp(wanted, call, length) != 0 || strcmp(wanted + length, side) != 0) return;
  if (__sync_add_and_fetch(&seen, 1) == atoi(getenv("STAND_AT"))) kill(getpid(), SIGSTOP);
}
#define AROUND(name, type, list, ...)                 \\
  type name list {                                    \\
    type(*real) list = (type(*) list)dlsym(RTLD_NEXT, #name); \\
    at(#name, "-before");                             \\
    type got = real(__VA_ARGS__);                     \\
    int error = errno;                                \\
    at(#name, "-after");                              \\
    errno = error;                                    \\
    return got;                                       \\
  }
AROUND(process_vm_readv, ssize_t, (pid_t p, const struct iovec* l, unsigned long n, const struct iovec* r, unsigned long m,
       unsigned long f), p, l, n, r, m, f)
AROUND(mkdirat, int, (int d, const char* p, mode_t m), d, p, m)
AROUND(fsync, int, (int d), d)
AROUND(renameat, int, (int a, const char* b, int c, const char* d), a, b, c, d)
AROUND(ptrace, long, (long r, long p, void* a, void* d), r, p, a, d)
static int lets_go(long number, const long* args) { return number == SYS_pidfd_send_signal && args[1] == SIGCONT; }
static int before_syscall(long number, const long* args) {
  if (lets_go(number, args)) at("let_go", "-before");
  return 0;
}
static void after_syscall(long number, const long* args) {
  if (lets_go(number, args)) at("let_go", "-after");
}
"""

# phase: calls in which mapwatch is then, and how many of each there are at least.
PHASES = {
    "reading-registers": [("ptrace-before", 6), ("ptrace-after", 6)],
    "copying": [("process_vm_readv-before", 5), ("process_vm_readv-after", 5)],
    "letting-go": [("let_go-before", 1), ("let_go-after", 1)],
    "writing-the-dossier": [("mkdirat-before", 1), ("mkdirat-after", 1), ("fsync-before", 3), ("fsync-after", 3),
                            ("renameat-before", 1), ("renameat-after", 1)],
}


def standing(context, phase, dice):
    """A target that was frozen by a mapwatch that now stands still in that phase."""
    call, most = dice.choice(PHASES[phase])
    env = dict(os.environ, LD_PRELOAD=str(preload(context, "stands_still", STANDS_STILL)), STAND_IN=call,
               STAND_AT=str(dice.randint(1, most)))
    watched = Watched(context, *LONG, "--state-dir", context.scratch / "state", pace="0", mapwatch_env=env)
    watched.first_guardian = watched.guardian()  # the record is gone when the target is
    watched.target.release()
    wait_for(f"mapwatch to reach {call}", lambda: all_stopped(watched.mapwatch.pid), 60)
    return watched


def dossiers_are_whole(context):
    """What a killed mapwatch left unfinished is no dossier."""
    status, out, err = run_to_end(context, "dossier", "ls", "--state-dir", context.scratch / "state")
    expect(status == 0, f"dossier ls ended with {status}: {err[-300:]}")
    for line in out.splitlines() if "no dossiers" not in out else []:
        name = line.split()[0]
        status, _, err = run_to_end(context, "dossier", "verify", name, "--state-dir", context.scratch / "state")
        expect(status == 0, f"dossier {name} is not whole: {err[-300:]}")


def kill_mapwatch(watched):
    watched.mapwatch.signal(signal.SIGKILL)
    watched.mapwatch.wait()


def mapwatch_round(context, phase, dice):
    if phase == "before-the-stop":
        watched = Watched(context, *LONG, "--state-dir", context.scratch / "state", pace=dice.choice(["0", "50us", "500us"]))
        watched.first_guardian = watched.guardian()
        watched.target.release()
        threading.Event().wait(dice.random() ** 2 * 0.1)  # the instant is what is random: there is no event to wait for
    else:
        watched = standing(context, phase, dice)
    kill_mapwatch(watched)
    wait_gone(watched.first_guardian)
    watched.died_of_its_own()
    watched.nothing_left()
    dossiers_are_whole(context)
    watched.target.close()


def kill_guardian(watched):
    os.kill(watched.first_guardian, signal.SIGKILL)
    wait_for("the guardian's end", lambda: state(watched.first_guardian) in (None, "Z"), 10)


def guardian_round(context, phase, dice):
    """mapwatch lives on, and lets go itself."""
    watched = standing(context, phase, dice)
    kill_guardian(watched)
    watched.mapwatch.signal(signal.SIGCONT)
    watched.died_of_its_own()
    expect(watched.one_crash()["frozen_ns"] > 0, "not frozen")
    watched.nothing_left()
    dossiers_are_whole(context)
    watched.target.close()


def both_round(context, phase, dice):
    watched = standing(context, phase, dice)
    kill_guardian(watched)
    kill_mapwatch(watched)
    status, out, err = run_to_end(context, "thaw", "--run-dir", watched.run_dir)
    expect(status == 0, f"thaw ended with {status}: {out}{err}")
    watched.died_of_its_own()
    watched.nothing_left()
    dossiers_are_whole(context)
    watched.target.close()


class Seize(threading.Thread):
    """Kills a process of one thread as it enters or leaves the system call that sends SIGCONT."""

    SEIZE, INTERRUPT, SYSCALL, PEEKUSER = 0x4206, 0x4207, 24, 3
    TRACESYSGOOD, PIDFD_SEND_SIGNAL = 1, 424
    ORIG_RAX, RSI = 15 * 8, 13 * 8  # struct user_regs_struct, sys/user.h

    def __init__(self, pid, leaving):
        super().__init__(daemon=True)
        self.pid, self.leaving, self.ready, self.failed = pid, leaving, threading.Event(), None
        self.ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self.ptrace.restype = ctypes.c_long
        self.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.start()
        self.ready.wait(10)

    def run(self):
        if self.ptrace(self.SEIZE, self.pid, None, self.TRACESYSGOOD) != 0:
            self.failed = os.strerror(ctypes.get_errno())
            self.ready.set()
            return
        self.ptrace(self.INTERRUPT, self.pid, None, None)
        inside = False
        while True:
            _, status = os.waitpid(self.pid, 0x40000000)  # __WALL
            if not os.WIFSTOPPED(status):
                return
            if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
                inside = not inside
                continues = (self.ptrace(self.PEEKUSER, self.pid, self.ORIG_RAX, None) == self.PIDFD_SEND_SIGNAL and
                             self.ptrace(self.PEEKUSER, self.pid, self.RSI, None) == signal.SIGCONT)
                if continues and inside != self.leaving:
                    os.kill(self.pid, signal.SIGKILL)
            self.ptrace(self.SYSCALL, self.pid, None, None)
            self.ready.set()


def letting_go_round(context, dice):
    """The guardian is killed as it sends SIGCONT, because mapwatch is dead or --max-freeze over; then mapwatch, if it is
    still there, and thaw."""
    dead, leaving = dice.choice([False, True]), dice.choice([False, True])
    watched = Watched(context, *(LONG if dead else ("--max-freeze", "300ms")), "--state-dir", context.scratch / "state",
                      pace="0")
    guardian = watched.guardian()
    tracer = Seize(guardian, leaving)
    expect(tracer.failed is None, f"the guardian cannot be traced: {tracer.failed}")
    watched.crash()
    if dead:
        kill_mapwatch(watched)
    wait_for("the guardian's end", lambda: state(guardian) in (None, "Z"), 10)
    tracer.join(10)
    if not dead:
        kill_mapwatch(watched)
    if not leaving:
        expect(state(watched.target.pid) == "T", "who let it go?")
    status, out, err = run_to_end(context, "thaw", "--run-dir", watched.run_dir)
    expect(status == 0, f"thaw ended with {status}: {out}{err}")
    watched.died_of_its_own()
    watched.nothing_left()
    watched.target.close()


def who_stands_where(watched):
    """Of everybody in a round that failed: the state letters of its threads, and in which call each waits."""
    told = {}
    for name, pid in (("target", watched.pid), ("mapwatch", watched.mapwatch.pid), ("guardian", getattr(watched, "first_guardian", 0))):
        threads = pathlib.Path(f"/proc/{pid}/task").glob("*") if pid else []
        told[name] = [f"{state(t.name) or 'gone'} {t.joinpath('wchan').read_text()}" for t in threads if t.exists()]
    return f"{told}, load {os.getloadavg()[0]:.0f}"


def rounds(context, one, quick):
    seed = random.getrandbits(32)
    dice = random.Random(seed)
    for n in range(100 if context.full else quick):
        try:
            one(dice)
        except Exception as error:
            where = who_stands_where(context.watched) if hasattr(context, "watched") else ""
            raise type(error)(f"round {n} of seed {seed}: {error}; {where}") from None


def any_phase(one):
    return lambda context: rounds(context, lambda dice: one(context, dice.choice(list(PHASES)), dice), 4)


for _phase in ("before-the-stop", *PHASES):
    case(f"freeze/kill-9-of-mapwatch/{_phase}", builds=PLAIN)(
        lambda context, p=_phase: rounds(context, lambda dice: mapwatch_round(context, p, dice), 3))
case("freeze/kill-9-of-guardian/any-phase", builds=PLAIN)(any_phase(guardian_round))
case("freeze/kill-9-of-both-then-thaw/any-phase", builds=PLAIN)(any_phase(both_round))
case("freeze/kill-9-of-guardian/letting-go", builds=PLAIN)(
    lambda context: rounds(context, lambda dice: letting_go_round(context, dice), 3))
