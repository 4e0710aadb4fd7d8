"""The two processes of a test: a Go program that is watched, and mapwatch."""
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

from .harness import PATIENCE, Failed, expect, wait_for


class Lines(threading.Thread):
    """Reads a pipe to its end, so that nobody blocks on it, and hands out its lines as they come."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.lines, self.times, self.ended = pipe, [], [], False
        self.changed = threading.Condition()
        self.start()

    def run(self):
        for line in self.pipe:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.times.append(time.monotonic_ns())
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, pattern, seconds):
        """The first line that matches, or None when the pipe ends or time is up."""
        seen = 0
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                for line in self.lines[seen:]:
                    if re.search(pattern, line):
                        return line
                seen = len(self.lines)
                if self.ended or not self.changed.wait(max(0, end - time.monotonic())):
                    return None

    def text(self):
        with self.changed:
            return "\n".join(self.lines)


class Process:
    """A child that is never left behind. stderr: where it goes instead of a pipe that is read here."""

    def __init__(self, command, stderr=subprocess.PIPE, **options):
        self.command = [str(c) for c in command]
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                                      text=True, errors="replace", **options)
        self.pid = self.child.pid
        self.out, self.err = Lines(self.child.stdout), Lines(self.child.stderr or [])

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def wait(self, seconds=10):
        """The exit status, as subprocess gives it: negative when a signal ended it."""
        try:
            status = self.child.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"{pathlib.Path(self.command[0]).name} (pid {self.pid}) did not end within {seconds} s; "
                         f"stderr: {self.err.text()[-600:]}") from None
        self.out.join(5)
        self.err.join(5)
        return status

    def close(self):
        if self.running():
            self.child.kill()
        self.child.wait()
        if not self.child.stdin.closed:
            try:
                self.child.stdin.close()
            except BrokenPipeError:
                pass


class Target(Process):
    """A scenario of the fixture, held at its start until release()."""

    def __init__(self, binary, scenario, *args, pace="0", seconds=None, env=None, held=True, extra=(), wrap=(), start=10,
                 **options):
        flags = ["-pace", pace, *extra]
        if seconds is not None:
            flags += ["-for", f"{seconds}s"]
        if held:
            flags.append("-start-on-stdin")
        full_env = dict(os.environ, **env) if env else None
        super().__init__([*wrap, binary, *flags, scenario, *args], env=full_env, **options)
        if not self.out.wait("^ready$", start * PATIENCE):
            status = self.child.poll()
            self.close()
            raise Failed(f"fixture {scenario} did not start: status {status}, {self.err.text()[-400:]}")

    def race(self):
        """Of a pair that was started "-apart": both use one map from now on."""
        self.release("together")

    def release(self, word="go"):
        try:
            self.child.stdin.write(word + "\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"target ended before its start: {self.err.text()[-400:]}") from None

    def fatal(self):
        """Go's own "fatal error: ..." line, when it came to that. Of two goroutines that die at once both say "fatal
        error: " before either says why."""
        first = next((line for line in self.err.text().splitlines() if line.startswith("fatal error: ")), None)
        return first and re.sub("^(fatal error: )+", "fatal error: ", first)

    def finish(self):
        """Asks a correct scenario to end; its measurements."""
        self.signal(signal.SIGTERM)
        status = self.wait()
        expect(status == 0, f"target ended with {status}: {self.err.text()[-800:]}")
        return json.loads(self.out.text().splitlines()[-1])


class Mapwatch(Process):
    """`mapwatch watch` or `run` with JSON to a log file."""

    def __init__(self, context, *args, output=True, wrap=(), **options):
        self.log = context.scratch / f"log-{time.monotonic_ns()}.json"
        extra = ["-o", "json", "--log-path", self.log] if output else []
        command, rest = list(args[:1]), list(args[1:])
        super().__init__([*wrap, context.mapwatch, *command, *extra, *rest], **options)
        context.own(self)

    def attached(self, *pids, seconds=15):
        for pid in pids:
            if not self.err.wait(rf"attached to PID {pid}\b", seconds * PATIENCE):
                state = "is silent" if self.running() else f"ended with {self.child.poll()}"
                raise Failed(f"mapwatch did not attach to {pid}: it {state}; stderr: {self.err.text()[-800:]}")
        return self

    def objects(self):
        """The findings written so far; a line that is not whole yet is left for the next look."""
        try:
            text = self.log.read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def kind(self, kind):
        return [o for o in self.objects() if o["kind"] == kind]

    def wait_hazard(self, seconds, wanted=lambda hazard: True):
        """The first hazard that is wanted, or None when mapwatch ends or time is up."""
        end = time.monotonic() + seconds
        while True:
            over = not self.running()
            for hazard in self.kind("hazard"):
                if wanted(hazard):
                    return hazard
            if over or time.monotonic() >= end:
                return None
            time.sleep(0.02)

    def stop(self, number=signal.SIGINT, status=0):
        """Ends it and returns its summary, which must be there, once, and last."""
        self.signal(number)
        got = self.wait(15)
        expect(got == status, f"mapwatch ended with {got}, not {status}; stderr: {self.err.text()[-800:]}")
        return self.summary()

    def summary(self):
        objects = self.objects()
        kinds = [o["kind"] for o in objects]
        expect(kinds.count("summary") == 1 and kinds[-1] == "summary", f"summary is not the last object: {kinds[-5:]}")
        for o in objects:
            expect(o.get("schema_version") == 1, f"schema_version of {o['kind']} is {o.get('schema_version')}")
        return objects[-1]


def run_to_end(context, *args, seconds=30, stdin=None, wrap=(), **options):
    """mapwatch with these arguments, to its end: (status, stdout, stderr). It must not die of a signal."""
    try:
        done = subprocess.run([*wrap, context.mapwatch, *map(str, args)], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace", timeout=seconds * PATIENCE,
                              **({} if stdin is not None else {"stdin": subprocess.DEVNULL}), **options)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"mapwatch {' '.join(map(str, args))} did not end within {seconds} s; "
                     f"stderr: {(late.stderr or b'')[-600:]}") from None
    expect(done.returncode >= 0, f"mapwatch died of signal {-done.returncode}: {done.stderr[-800:]}")
    return done.returncode, done.stdout, done.stderr


def wait_gone(pid, seconds=10):
    wait_for(f"end of {pid}", lambda: not pathlib.Path(f"/proc/{pid}").exists(), seconds)
