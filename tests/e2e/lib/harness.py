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
    end = time.monotonic() + seconds
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
        subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-x", "c", "-o", library, "-"], input=source, text=True, check=True)
    return library


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
