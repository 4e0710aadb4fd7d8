"""A real terminal: a shell in tmux, looked at until what is expected stands on it."""
import itertools
import os
import re
import shlex
import shutil
import subprocess

from .harness import expect, wait_for


class Terminal:
    """A shell in a tmux of its own."""

    numbers = itertools.count()

    def __init__(self, context, rows=30, columns=170, term="tmux-256color", **env):
        expect(shutil.which("tmux"), "tmux is missing: make deps")
        self.socket = str(context.scratch / f"tmux{next(self.numbers)}")  # a server that ends has its own for a while
        self.folder, self.mapwatch = context.scratch, context.mapwatch
        full = {k: v for k, v in os.environ.items() if not k.startswith("TMUX") and k not in ("NO_COLOR", "CLICOLOR_FORCE")}
        self.env = dict(full, LC_ALL="C.UTF-8", MAPWATCH_STATE_DIR=str(context.scratch), **env)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows, "env", f"TERM={term}", "PS1=ready$ ",
                  "bash", "--norc", "--noprofile")
        context.own(self)
        self.wait(r"^ready\$")
        self.run("stty -a > before; tput cols", r"^\d+$")

    def tmux(self, *args):
        done = subprocess.run(["tmux", "-u", "-S", self.socket, *map(str, args)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, cwd=self.folder, env=self.env)
        expect(done.returncode == 0, f"tmux {args[:2]}: {done.stderr}")
        return done.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def wait(self, pattern, seconds=30):
        """The screen, once this stands on it."""
        last = [""]

        def look():
            last[0] = self.screen()
            return re.search(pattern, last[0], re.MULTILINE)

        try:
            wait_for(pattern, look, seconds)
        except Exception:
            raise AssertionError(f"not on the screen: {pattern}\n{last[0]}") from None
        return last[0]

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def run(self, command, pattern):
        self.tmux("send-keys", "-l", command)
        self.keys("Enter")
        return self.wait(pattern)

    def top(self, context, *args, pattern=r"^ +PID +COMM", before=""):
        """Starts top; its screen stands when this returns. Its status is echoed when it ends."""
        command = " ".join(shlex.quote(str(a)) for a in (context.mapwatch, "top", *args))
        return self.run(f"clear; {before}{command}; echo ended $?", pattern)

    def value(self, name):
        return self.tmux("display-message", "-p", "#{" + name + "}").strip()

    def pid(self):
        """Of the top that runs in it."""
        return wait_for("top's process", lambda: self.child(), 10)

    def child(self):
        try:
            with open(f"/proc/{self.value('pane_pid')}/task/{self.value('pane_pid')}/children") as file:
                children = file.read().split()
            return next((int(c) for c in children if os.path.samefile(f"/proc/{c}/exe", self.mapwatch)), None)
        except OSError:
            return None

    def restored(self, status=r"\d+"):
        """The shell's own screen, cursor and settings, as before."""
        screen = self.wait(rf"^ended {status}$")
        expect(self.value("alternate_on") == "0", "the alternate screen is left on")
        expect(self.value("cursor_flag") == "1", "the cursor is left hidden")
        expect(self.value("keypad_flag") == "0", "the keypad is left in application mode")
        self.run("stty -a > after; cmp before after && echo 'as bef''ore'", r"^as before$")
        return screen

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stderr=subprocess.DEVNULL)
