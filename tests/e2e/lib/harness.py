"""The cases and how one of them is run. A case is a function that takes a Context and fails by raising."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from .fixtures import BuildError

CASES = []
# Limits of waits are multiplied by this: E2E_PATIENCE=20 for a machine that is emulated or overloaded.
PATIENCE = float(os.environ.get("E2E_PATIENCE", "1"))


class Failed(Exception):
    """What was expected and what came instead."""


class Skipped(Exception):
    """This machine cannot show it; says why."""


class Case:
    def __init__(self, name, run, quick, builds):
        self.name, self.run, self.quick, self.builds = name, run, quick, builds


def case(name, quick=True, builds=()):
    """Registers a function as a case. builds: fixtures it needs, as (version, mode), made ahead of its turn."""
    def add(run):
        CASES.append(Case(name, run, quick, list(builds)))
        return run
    return add


def expect(condition, message):
    if not condition:
        raise Failed(message)


def wait_for(what, predicate, seconds, step=0.02):
    """The predicate's first true value. For things that only can be looked at, not waited on."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(step)


class Context:
    """What a case works with: the program under test, a scratch folder, and everything it started."""

    def __init__(self, mapwatch, full):
        self.mapwatch = str(mapwatch)
        self.full = full
        self.stack = contextlib.ExitStack()
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="mapwatch-e2e-"))
        self.scratch.chmod(0o755)
        self.stack.callback(shutil.rmtree, self.scratch, ignore_errors=True)

    def own(self, thing):
        """thing.close() is called when the case ends, last in first out."""
        self.stack.callback(thing.close)
        return thing

    def close(self):
        self.stack.close()


def preload(context, name, source):
    """A library for LD_PRELOAD, made of C source: the calls of a program answered as on another host."""
    library = context.scratch / f"{name}.so"
    if not library.exists():
        subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-x", "c", "-o", library, "-"],
                       input="#define _GNU_SOURCE\n#include <dlfcn.h>\n" + source, text=True, check=True)
    return library


# syscall(2), with a hook before the kernel is called, which may answer in its place with an errno, and one after it.
AROUND_SYSCALL = """
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
static int before_syscall(long number, const long* args);
static void after_syscall(long number, const long* args);
long syscall(long number, ...) {
  va_list list;
  long args[6];
  va_start(list, number);
  for (int i = 0; i < 6; i++) args[i] = va_arg(list, long);
  va_end(list);
  int error = before_syscall(number, args);
  if (error) {
    errno = error;
    return -1;
  }
  long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  long got = real(number, args[0], args[1], args[2], args[3], args[4], args[5]);
  error = errno;
  after_syscall(number, args);
  errno = error;
  return got;
}
"""

# bpf(2) as libbpf calls it. The hook sees each uprobe_multi link before it is made, with the count of its probes, and
# gives an errno or 0. 48: BPF_TRACE_UPROBE_MULTI, which old headers do not name; the count is 48 bytes into the
# attributes, too (union bpf_attr, link_create).
ON_MULTI_LINK = AROUND_SYSCALL + """
#include <linux/bpf.h>
#include <string.h>
static int on_multi_link(unsigned count);
static int before_syscall(long number, const long* args) {
  if (number != __NR_bpf || args[0] != BPF_LINK_CREATE || ((const union bpf_attr*)args[1])->link_create.attach_type != 48) return 0;
  unsigned count;
  memcpy(&count, (const char*)args[1] + 48, sizeof(count));
  return on_multi_link(count);
}
static void after_syscall(long number, const long* args) {}
"""


def run_cases(cases, mapwatch, full, builder, keep_going=True):
    """Runs the cases in order; one line each. Returns (passed, failed, skipped)."""
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for each in cases:
        context = Context(mapwatch, full)
        start = time.monotonic()
        why = ""
        try:
            builder.wait(each.builds)
            each.run(context)
            verdict = "ok"
        except Skipped as reason:
            verdict, why = "skip", str(reason)
        except (Failed, BuildError) as reason:
            verdict, why = "FAIL", str(reason)
        except Exception:  # a broken case is a failed case, not the end of the run
            verdict, why = "FAIL", "the case itself broke:\n" + traceback.format_exc()
        finally:
            context.close()
        counts[verdict] += 1
        took = time.monotonic() - start
        print(f"{verdict} {each.name}" + (f": {why}" if why else "") + f" ({took:.1f} s)", flush=True)
        if verdict == "FAIL" and not keep_going:
            break
    return counts["ok"], counts["FAIL"], counts["skip"]


class Builder(threading.Thread):
    """Builds what the cases need, in their order, at low priority: a test next door is timed."""

    def __init__(self, cases, build):
        super().__init__(daemon=True)
        self.wanted = list(dict.fromkeys(b for c in cases for b in c.builds))
        self.build = build
        self.done = {}
        self.changed = threading.Condition()

    def run(self):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        for key in self.wanted:
            try:
                self.build(*key)
                error = None
            except Exception as e:
                error = e
            with self.changed:
                self.done[key] = error
                self.changed.notify_all()

    def wait(self, keys):
        for key in keys:
            with self.changed:
                self.changed.wait_for(lambda key=key: key in self.done)
                if self.done[key] is not None:
                    raise BuildError(str(self.done[key]))


def say(text):
    print(text, file=sys.stderr, flush=True)
