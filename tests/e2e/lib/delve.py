"""Delve, as the oracle that knows nothing of mapwatch: built once, driven by its JSON-RPC."""
import fcntl
import json
import os
import re
import socket
import subprocess

from . import fixtures, gobuild
from .harness import Failed, expect
from .process import Lines

VERSION = "1.27.2"
BUILT_BY = "1.26.8"  # Delve 1.27 wants Go 1.25 or later: not every machine's own
WANTED = ("delve",)  # what a case names among its builds
# Delve's own status numbers of goroutines (pkg/proc/variables.go: Gsyscall, Gdead, GdeadExtra).
SYSCALL, DEAD = 3, {6, 10, 11}


def build():
    """Path of dlv. Two callers at once build it once."""
    home = fixtures.ROOT / "build/delve"
    home.mkdir(parents=True, exist_ok=True)
    binary = home / f"dlv-{VERSION}"
    with open(home / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            gobuild.go(BUILT_BY, "install", f"github.com/go-delve/delve/cmd/dlv@v{VERSION}", cwd=home, GOBIN=str(home))
            (home / "dlv").rename(binary)
    return binary


class Delve:
    """A dlv that holds a process, or a core."""

    def __init__(self, context, command, *words):
        path = context.scratch / f"dlv-{os.urandom(4).hex()}.sock"
        env = dict(os.environ, HOME=str(context.scratch), XDG_CONFIG_HOME=str(context.scratch))
        self.child = subprocess.Popen([build(), command, *map(str, words), "--headless", "--api-version=2",
                                       "--check-go-version=false", "-l", f"unix:{path}"], env=env, text=True,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        context.own(self)
        out = Lines(self.child.stdout)
        expect(out.wait("API server listening", 60), f"dlv {command} {words}: {out.text()[-400:]}")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rw")
        self.count = 0

    def call(self, method, **parameters):
        self.count += 1
        self.lines.write(json.dumps({"method": "RPCServer." + method, "params": [parameters], "id": self.count}) + "\n")
        self.lines.flush()
        answer = json.loads(self.lines.readline())
        if answer["error"]:
            raise Failed(f"Delve, {method}: {answer['error']}")
        return answer["result"]

    def goroutines(self):
        """Those that live, by id: {"status", "stack", "creator"}; a place is (function, file, line), the innermost first."""
        found, start = [], 0
        while start >= 0:
            page = self.call("ListGoroutines", Start=start, Count=1000)
            found += page["Goroutines"]
            start = page["Nextg"] or -1
        stacks = {}
        for each in found:
            if each["status"] not in DEAD:
                locations = self.call("Stacktrace", Id=each["id"], Depth=2000)["Locations"]
                stacks[each["id"]] = {"status": each["status"], "stack": [as_go_shows(one) for one in locations],
                                      "creator": as_go_shows(each["goStatementLoc"])}
        return stacks

    def variable(self, expression, most=4000):
        load = {"FollowPointers": True, "MaxVariableRecurse": 2, "MaxStringLen": 1024, "MaxArrayValues": most,
                "MaxStructFields": -1}
        return self.call("Eval", Scope={"GoroutineID": -1, "Frame": 0}, Expr=expression, Cfg=load)["Variable"]

    def dump(self, path):
        """Writes a core of the process as it stands."""
        self.call("DumpStart", Destination=str(path))
        state = {"Dumping": True}
        while state["Dumping"]:
            state = self.call("DumpWait", Wait=100)["State"]
        expect(not state["Err"], f"Delve's dump: {state['Err']}")

    def detach(self):
        self.call("Detach", Kill=False)
        self.child.wait(30)

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


def as_go_shows(location):
    """Delve has names from DWARF; Go's tracebacks shorten type arguments."""
    name = (location.get("function") or {"name": "?"})["name"]
    arguments = r"\[(?!\.\.\.\])[^\[\]]*(?:\[\.\.\.\][^\[\]]*)*\]"
    while re.search(arguments, name):
        name = re.sub(arguments, "[...]", name)
    return name, location["file"], location["line"]
