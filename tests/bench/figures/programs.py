"""Programs that are measured at work: real servers, each as its own project builds it and loaded through its own client
library, and the twins of tests/fixtures. Server and load share the machine's CPUs, in every mode alike."""
import hashlib
import json
import os
import re
import socket

from lib import fixtures, gobuild
from lib.harness import Failed, wait_for
from lib.process import Process, Target

from . import cpu

SOURCES = fixtures.ROOT / "tests/fixtures/servers"
CONNECTIONS = 8
# runtime/extern.go, gctrace: "gc # @#s #%: #+#+# ms clock": the first and the third stop the world.
GC = re.compile(r"^gc \d+ @[\d.]+s \d+%: ([\d.]+)\+[\d.]+\+([\d.]+) ms clock")
CADDYFILE = """{{
	admin off
	auto_https off
	persist_config off
}}
http://:{port} {{
	bind 127.0.0.1
	request_header X-Forwarded-Prefix /pages
	header X-Content-Type-Options nosniff
	header -Server
	reverse_proxy 127.0.0.1:{second}
}}
http://:{second} {{
	bind 127.0.0.1
	header Content-Type text/html
	respond "<p>{{http.request.uri.path}}" 200
}}
"""


def etcd(port, second, folder):
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{second}"
    return ["--data-dir", folder / "etcd", "--unsafe-no-fsync", "--log-level", "error", "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}"]


def caddy(port, second, folder):
    (folder / "Caddyfile").write_text(CADDYFILE.format(port=port, second=second))
    return ["run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]


# name: (package of the server, its arguments by two ports and a folder, how its load is told where it is)
SERVERS = {
    "json": ("./serve", lambda port, second, folder: [f"127.0.0.1:{port}"], "http://127.0.0.1:{port}"),
    "etcd": ("go.etcd.io/etcd/server/v3", etcd, "127.0.0.1:{port}"),
    "nats": ("github.com/nats-io/nats-server/v2", lambda port, second, folder: ["-a", "127.0.0.1", "-p", port],
             "nats://127.0.0.1:{port}"),
    "caddy": ("github.com/caddyserver/caddy/v2/cmd/caddy", caddy, "http://127.0.0.1:{port}"),
    "tsdb": (".", lambda port, second, folder: [folder / "tsdb", CONNECTIONS], None),  # its load is in the same process
}


def folder_hash(*folders):
    digest = hashlib.sha256()
    for path in sorted(p for folder in folders for p in folder.rglob("*") if p.suffix in (".go", ".mod", ".sum")):
        digest.update(str(path.relative_to(SOURCES.parent)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def compiled(folder, package, label, race, *flags):
    """Path of a main package below tests/fixtures, built once for each state of the sources."""
    home = fixtures.ROOT / "build/bench/programs"
    home.mkdir(parents=True, exist_ok=True)
    digest = folder_hash(folder, SOURCES / "drive")
    binary = home / f"{label}{'-race' if race else ''}-{fixtures.NEWEST}-{digest}"
    if not binary.exists():
        gobuild.go(fixtures.NEWEST, "build", *flags, *(["-race"] if race else []), "-o", binary.with_suffix(".new"), package,
                   cwd=folder, cgo=race)
        binary.with_suffix(".new").rename(binary)
    return binary


def server_binary(name, race):
    return compiled(SOURCES / name, SERVERS[name][0], name, race)


def twin_binary(race):
    if not race:
        return fixtures.build(fixtures.NEWEST)
    # go.mod names the oldest version, and a build by the newest its own (tests/e2e/lib/fixtures.py).
    module = fixtures.ROOT / "build/bench/twin.mod"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text((fixtures.SOURCES / "go.mod").read_text().replace("go 1.17", "go 1.27"))
    return compiled(fixtures.SOURCES, "./race", "twins", race, f"-modfile={module}")


def free_ports(count):
    """Ports of loopback that nobody listens on."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A server and its load, at work as soon as this is made."""

    def __init__(self, context, name, race):
        _, arguments, place = SERVERS[name]
        port, second = free_ports(2)
        home = context.scratch / f"{name}-{port}"
        home.mkdir()
        env = dict(os.environ, GODEBUG="gctrace=1", HOME=str(home), XDG_DATA_HOME=str(home), XDG_CONFIG_HOME=str(home),
                   GORACE="atexit_sleep_ms=0")
        self.target = context.own(Process([server_binary(name, race), *arguments(port, second, home)], env=env))
        self.load = self.target
        if place:
            wait_for(f"{name} listens", lambda: listens(port) or not self.target.running(), 30)
            self.load = context.own(Process([compiled(SOURCES / name, "./load", name + "-load", False),
                                             place.format(port=port), CONNECTIONS, self.target.pid]))
        if not self.load.out.wait("^ready$", 60):
            raise Failed(f"{name} has no load: {self.load.err.text()[-400:]}; {self.target.err.text()[-400:]}")
        self.pid = self.target.pid
        self.seen = 0

    def begin(self):
        """From here on it is measured."""
        self.phase("warm-up")

    def phase(self, name):
        """Ends a phase: what it was like."""
        if not (self.load.running() and self.target.running()):
            raise Failed(f"the server or its load ended: {self.load.err.text()[-400:]}; {self.target.err.text()[-400:]}")
        self.load.child.stdin.write(name + "\n")
        self.load.child.stdin.flush()
        line = self.load.out.wait(f'"phase":"{name}"', 30)
        if not line:
            raise Failed(f"no measurements of {name}: {self.load.err.text()[-400:]}")
        lines = list(self.target.err.lines)
        stops = [float(ms) for line_of_gc in map(GC.match, lines[self.seen:]) if line_of_gc for ms in line_of_gc.groups()]
        self.seen = len(lines)
        return dict(json.loads(line), gc_pause_max_ns=max(stops) * 1e6 if stops else 0)

    def unharmed(self):
        if "DATA RACE" in self.target.err.text():
            raise Failed(f"the race detector found one: {self.target.err.text()[:2000]}")


class Twin:
    """A correct scenario of the fixture, NAME or NAME@PACE. It has one phase, from its first operation to its end."""

    def __init__(self, context, name, race):
        scenario, _, pace = name.partition("@")
        self.target = context.own(Target(twin_binary(race), scenario, pace=pace or "0", extra=("-garbage", "200")))
        self.pid = self.target.pid

    def begin(self):
        self.used = cpu.seconds(self.pid)
        self.target.release()

    def phase(self, name):
        if name != "window":
            return None
        used = cpu.seconds(self.pid) - self.used
        return dict(self.target.finish(), cpu_s=used)

    def unharmed(self):
        pass
