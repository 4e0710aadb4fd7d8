"""mapwatch daemon: what it serves is what it found; a real Prometheus reads it; a service manager is told; slow clients
and bad configuration files change nothing for those that are watched."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

from . import check
from .fixtures import NEWEST
from .harness import case, expect, wait_for
from .lifecycle import PLAIN, patched, probe_bytes, untouched
from .process import Mapwatch, Target, run_to_end
from .served import Daemon, Prometheus, get
from .whole_host import copy_of, only_below


def race(context, daemon, binary):
    """Runs the racy program until a warning of it is written. It may crash."""
    for _ in range(8):
        target = context.own(Target(binary, "write_read", pace="500us"))
        daemon.attached(target.pid)
        target.release()
        if daemon.wait_hazard(10, lambda h, pid=target.pid: h["process"]["pid"] == pid):
            target.close()
            return
        target.close()
    expect(False, "not warned of in 8 runs")


def race_until(context, daemon, binary, done, seconds):
    """Runs the racy program to its end, for that long at most, and again until done() is true: what that was at last."""
    for _ in range(8):
        target = context.own(Target(binary, "write_read", pace="500us"))
        daemon.attached(target.pid)
        target.release()
        target.out.wait("never", seconds)
        target.close()
        if answer := done():
            break
    return answer


@case("daemon/metrics-are-the-findings", builds=PLAIN)
def agree(context):
    """Of a racy and a correct program: the same counts in JSON and in the metrics; promtool finds nothing to say."""
    racy, calm = copy_of(context, "racy"), copy_of(context, "calm")
    healthy = context.own(Target(calm, "rw3", pace="1ms", held=False))
    daemon = Daemon(context)
    daemon.attached(healthy.pid)
    first = daemon.scrape_until("time of the healthy one", lambda s: s.of("mapwatch_watched_seconds_total", exe=str(calm))
                                and s.sum("mapwatch_watched_seconds_total", exe=str(calm)) > 0)
    expect(first.sum("mapwatch_hazards_total", exe=str(calm)) == 0, "hazards of a correct program")
    expect(first.sum("mapwatch_target_info", exe=str(calm), go_version=f"go{NEWEST}", mode="full", state="watched") == 1,
           "no info of the healthy one")
    race(context, daemon, racy)
    daemon.scrape_until("its end", lambda s: s.sum("mapwatch_targets", state="watched") == 1)
    ids = lambda: {h["id"] for h in daemon.kind("hazard")}
    scrape = daemon.scrape_until("all that was found", lambda s: s.sum("mapwatch_hazard_sites") == len(ids()) and
                                 s.sum("mapwatch_queue_length") == 0 and s.sum("mapwatch_hazard_seconds_total", exe=str(racy)) > 0)
    summary = daemon.stop(signal.SIGTERM)
    hazards, crashes = daemon.kind("hazard"), daemon.kind("crash")
    expect(summary["hazards"] == scrape.sum("mapwatch_hazard_sites"), f"{summary['hazards']} hazards in the summary")
    least = {}
    for h in hazards:
        key = (h["process"]["pid"], h["id"])
        least[key] = max(least.get(key, 0), h["count"])
    total = scrape.sum("mapwatch_hazards_total", exe=str(racy))
    expect(total >= sum(least.values()), f"{total} sightings, and JSON tells of {sum(least.values())}")
    ops = {"read_write"}
    seen = {(l["kind"], l["severity"]) for l, v in scrape.of("mapwatch_hazards_total", exe=str(racy)) if v > 0}
    expect({k for k, _ in seen} == ops, f"kinds {seen}")
    expect({h["severity"] for h in hazards} <= {s for _, s in seen}, f"severities {seen}")
    for reason in {c["class"] for c in crashes} | {"write_write", "read_write"}:
        told = sum(c["class"] == reason and c["process"]["exe"] == str(racy) for c in crashes)
        expect(scrape.sum("mapwatch_crashes_total", exe=str(racy), reason=reason) == told, f"{told} crashes of {reason}")
    expect(scrape.sum("mapwatch_dossiers_total", result="written") == sum(bool(c["dossier"]) for c in crashes), "dossiers")
    expect(scrape.sum("mapwatch_hazards_total", exe=str(calm)) == 0, "hazards of a correct program")
    expect(scrape.sum("mapwatch_hazard_seconds_total", exe=str(racy)) <=
           scrape.sum("mapwatch_watched_seconds_total", exe=str(racy)), "more seconds with hazards than were watched")
    expect(0 < scrape.sum("mapwatch_operations_total") <= summary["hits"], "operations")
    expect(scrape.sum("mapwatch_probe_hits_total", probe="write") > 0, "hits of writes")
    expect(scrape.sum("mapwatch_probe_attached") > 0 and scrape.sum("mapwatch_overhead_ratio", exe=str(calm)) > 0, "cost")
    expect(scrape.sum("mapwatch_processes_total", result="watched") >= 2, "processes")
    expect(scrape.sum("mapwatch_attach_duration_seconds_count") == scrape.sum("mapwatch_processes_total", result="watched"),
           "each attach is timed")
    expect(scrape.sum("process_resident_memory_bytes") > 1 << 20 and scrape.sum("process_open_fds") > 3, "own process")
    for labels in (l for _, l, _ in scrape.samples):
        expect(not any(str(healthy.pid) == v or v.startswith("0x") for v in labels.values()), f"labels {labels}")
    checked = subprocess.run(["promtool", "check", "metrics"], input=scrape.text, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=60)
    expect(checked.returncode == 0 and not checked.stdout.strip(), f"promtool: {checked.returncode} {checked.stdout}")
    healthy.finish()


@case("daemon/time-in-bpf-programs", builds=PLAIN)
def bpf_time(context):
    """What the kernel counts while it is told to: at least a run for each hit that is counted here."""
    switch = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    target = context.own(Target(copy_of(context, "calm"), "rw3", pace="1ms", held=False))
    daemon = Daemon(context)
    daemon.attached(target.pid)
    if before.strip() == "0":
        expect(not daemon.scrape().of("mapwatch_bpf_runs_total"), "counted by nobody")
    switch.write_text("1")
    try:
        first = daemon.scrape_until("runs", lambda s: s.of("mapwatch_bpf_runs_total"))
        hits = first.sum("mapwatch_operations_total")
        last = daemon.scrape_until("more runs", lambda s: s.sum("mapwatch_operations_total") > hits + 100)
    finally:
        switch.write_text(before)
    # A snapshot reads the operations before the runs.
    more = last.sum("mapwatch_operations_total") - hits
    runs = last.sum("mapwatch_bpf_runs_total") - first.sum("mapwatch_bpf_runs_total")
    expect(runs > more / 2, f"{runs} runs for {more} operations")
    expect(last.sum("mapwatch_bpf_run_seconds_total") > first.sum("mapwatch_bpf_run_seconds_total"), "no time")
    daemon.stop(signal.SIGTERM)


@case("daemon/a-real-prometheus-reads-it", builds=PLAIN)
def prometheus(context):
    """A hostile name of an executable does no harm to it, and a query answers what the daemon counts."""
    hostile = copy_of(context, "q\"u\\o\nte{\x1b[2J} 1")
    target = context.own(Target(hostile, "rw3", pace="1ms", held=False))
    daemon = Daemon(context)
    daemon.attached(target.pid)
    server = Prometheus(context, daemon.url.removeprefix("http://"))
    wait_for("a scrape", lambda: server.query('up{job="mapwatch"} == 1'), 30)
    shown = wait_for("time watched", lambda: server.query("mapwatch_watched_seconds_total > 1"), 30)
    expect(shown[0][0]["exe"] == f"{context.scratch}/q\"u\\o\\x0ate{{\\x1b[2J}} 1", f"exe: {shown}")
    expect(server.query("mapwatch_build_info")[0][1] == 1, "no build info")
    expect(len(server.query("mapwatch_events_lost_total")) == 6, "stages of loss")
    # Rates are of two scrapes and more.
    rate = wait_for("a rate", lambda: server.query("sum(rate(mapwatch_operations_total[10s])) > 0"), 30)
    expect(rate[0][1] > 10, f"operations per second: {rate}")
    status, text = get(server.url + "/api/v1/targets")
    health = [(t["health"], t["lastError"]) for t in json.loads(text)["data"]["activeTargets"]]
    expect(health == [("up", "")], f"{health}")
    daemon.stop(signal.SIGTERM)
    check.silent(daemon, hits=100)
    target.finish()


@case("daemon/a-storm-of-scrapes", builds=PLAIN)
def storm(context):
    """Four scrapers without a pause between their scrapes: each is answered, findings come, nothing is lost."""
    racy = copy_of(context, "racy")
    daemon = Daemon(context)
    over, answers = threading.Event(), []

    def scrape():
        while not over.is_set():
            answers.append(get(daemon.url + "/metrics")[0])
    scrapers = [threading.Thread(target=scrape) for _ in range(4)]
    for each in scrapers:
        each.start()
    try:
        race(context, daemon, racy)
        wait_for("many scrapes", lambda: len(answers) > 200 or not all(t.is_alive() for t in scrapers), 60)
    finally:
        over.set()
        for each in scrapers:
            each.join()
    expect(set(answers) == {200} and len(answers) > 200, f"{len(answers)} answers: {set(answers)}")
    summary = daemon.stop(signal.SIGTERM)
    expect(summary["lost"] == 0 and summary["hazards"] >= 1, f"{summary}")


@case("daemon/slow-clients-change-nothing", builds=PLAIN)
def slow(context):
    """Hundreds of connections that never finish their request: findings come, and others are served."""
    racy = copy_of(context, "racy")
    daemon = Daemon(context)
    host, port = daemon.url.removeprefix("http://").split(":")
    held = [context.own(socket.create_connection((host, int(port)), timeout=20)) for _ in range(300)]
    for each in held:
        try:
            each.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        except OSError:
            pass  # it was ended for those that came later
    race(context, daemon, racy)
    for each in held:
        try:
            each.sendall(b"y")
        except OSError:
            pass
    scrape = daemon.scrape_until("the hazard", lambda s: s.sum("mapwatch_hazard_sites") >= 1)
    expect(scrape.sum("process_open_fds") < 300, f"{scrape.sum('process_open_fds')} descriptors are open")
    expect(get(daemon.url + "/healthz") == (200, "ok\n"), "not healthy")
    for method, path, status in (("POST", "/metrics", 405), ("HEAD", "/metrics", 200), ("GET", "/", 404)):
        expect(get(daemon.url + path, method)[0] == status, f"{method} {path}: {get(daemon.url + path, method)}")
    daemon.stop(signal.SIGTERM)


class Manager:
    """Stands in for the service manager: the messages of NOTIFY_SOCKET as they come."""

    def __init__(self, context):
        self.path = str(context.scratch / "notify")
        self.socket = context.own(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.bind(self.path)
        self.socket.settimeout(30)
        self.messages = []

    def next(self, wanted):
        """The first message from now on with a line that starts so."""
        while True:
            message = self.socket.recv(65536).decode()
            self.messages.append(message)
            for line in message.splitlines():
                if line.startswith(wanted):
                    return message


@case("daemon/service-manager-is-told", builds=PLAIN)
def notify(context):
    target = context.own(Target(copy_of(context, "calm"), "rw3", pace="1ms", held=False))
    probes = probe_bytes(context, target.pid)
    manager = Manager(context)
    env = dict(os.environ, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="400000")
    daemon = Daemon(context, env=env)
    message = manager.next("READY=1")
    expect(patched(target.pid, probes) == len(probes), "ready, and not all probes stand")
    expect("STATUS=watching 1 processes of 1 programs, 0 refused; 0 hazards" in message, f"{message!r}")
    expect(not any("WATCHDOG=1" in m for m in manager.messages[:-1]), "fed before it was ready")
    for _ in range(3):
        manager.next("WATCHDOG=1")
    # It is the loop that feeds: while that stands still nothing comes.
    daemon.signal(signal.SIGSTOP)
    manager.socket.settimeout(1)
    quiet = False
    try:
        for _ in range(100):
            manager.next("WATCHDOG=1")
    except socket.timeout:
        quiet = True
    expect(quiet, "fed while it was stopped")
    manager.socket.settimeout(30)
    daemon.signal(signal.SIGCONT)
    manager.next("WATCHDOG=1")
    second = context.own(Target(copy_of(context, "other"), "rw3", pace="1ms", held=False))
    manager.next("STATUS=watching 2 processes of 2 programs")
    daemon.signal(signal.SIGTERM)
    manager.next("STOPPING=1")
    daemon.stop(signal.SIGTERM)
    expect(untouched(target.pid, probes), "probes are left in the text")
    check.silent(daemon, hits=100)
    for each in (target, second):
        each.finish()


@case("daemon/reload", builds=PLAIN)
def reload(context):
    """SIGHUP: a bad file leaves the old one in force and the probes where they are; a good one changes what it says
    and nothing else."""
    names = ("one", "two")
    one, two = (context.own(Target(copy_of(context, name), "rw3", pace="1ms", held=False)) for name in names)
    config, suppressions = context.scratch / "mapwatch.toml", context.scratch / "suppressions"
    base = 'budget = 3%\nsample = full\n[metrics]\nlisten = "127.0.0.1:0"\n'
    config.write_text(base)
    manager = Manager(context)
    daemon = Daemon(context, "--config", config, listen=None, env=dict(os.environ, NOTIFY_SOCKET=manager.path))
    daemon.attached(one.pid, two.pid)
    probes = probe_bytes(context, one.pid)
    budget = lambda scrape, name: scrape.sum("mapwatch_budget_ratio", exe=str(context.scratch / name))
    first = daemon.scrape()
    expect([budget(first, name) for name in names] == [0.03, 0.03], f"budgets: {first.of('mapwatch_budget_ratio')}")
    expect(first.sum("mapwatch_config_last_reload_successful") == 1, "not successful at the start")
    manager.next("READY=1")

    config.write_text("budget = 5%\n[[target]]\nname = one\nbudgte = 1%\n")
    daemon.signal(signal.SIGHUP)
    expect(daemon.err.wait(rf"the configuration stays as it was: {config}:4: unknown key budgte", 30), daemon.err.text()[-600:])
    manager.next("RELOADING=1")
    manager.next("READY=1")
    bad = daemon.scrape_until("the failure", lambda s: s.sum("mapwatch_config_last_reload_successful") == 0)
    expect([budget(bad, name) for name in names] == [0.03, 0.03], f"budgets: {bad.of('mapwatch_budget_ratio')}")
    expect(patched(one.pid, probes) == len(probes), "probes were taken out")
    daemon.scrape_until("more operations", lambda s: s.sum("mapwatch_operations_total") > bad.sum("mapwatch_operations_total"))

    suppressions.write_text("race:main.\n")
    config.write_text(f'suppressions = "{suppressions}"\nring-size = 1M\n{base}[[target]]\nname = one\nbudget = 0.5%\nsample = 1/4\n')
    daemon.signal(signal.SIGHUP)
    expect(daemon.err.wait("ring-size: the new value holds from the next start on", 30), daemon.err.text()[-600:])
    manager.next("READY=1")
    good = daemon.scrape_until("the new budget", lambda s: budget(s, "one") == 0.005)
    expect(budget(good, "two") == 0.03, "the other's budget")
    expect(good.sum("mapwatch_target_info", exe=str(context.scratch / "one"), mode="1/4") == 1, "sampling of one")
    expect(good.sum("mapwatch_target_info", exe=str(context.scratch / "two"), mode="full") == 1, "sampling of two")
    expect(good.sum("mapwatch_config_last_reload_successful") == 1, "not successful")
    expect(good.sum("mapwatch_config_reloads_total", result="success") == 1 ==
           good.sum("mapwatch_config_reloads_total", result="failure"), f"{good.of('mapwatch_config_reloads_total')}")
    times = lambda target: len(re.findall(rf"attached to PID {target.pid}\b", daemon.err.text()))
    expect((times(one), times(two)) == (2, 1), f"attached {times(one)} and {times(two)} times")
    for name in ("mapwatch_operations_total", "mapwatch_watched_seconds_total", "mapwatch_events_received_total"):
        expect(good.sum(name) >= bad.sum(name), f"{name} went down")

    racy = copy_of(context, "racy")

    def suppressed():
        last = daemon.scrape()
        return last if last.of("mapwatch_suppressed_total", exe=str(racy)) and last.sum("mapwatch_suppressed_total", exe=str(racy)) > 0 else None
    last = race_until(context, daemon, racy, suppressed, 5)
    expect(last, "nothing was suppressed in 8 runs")
    expect(last.sum("mapwatch_hazards_total", exe=str(racy)) == 0 and not daemon.kind("hazard"), "told of what is suppressed")

    path = context.scratch / "metrics.sock"
    config.write_text(config.read_text().replace("127.0.0.1:0", f"unix:{path}"))
    daemon.signal(signal.SIGHUP)
    expect(daemon.err.wait(f"metrics at unix:{path}", 30), daemon.err.text()[-600:])
    manager.next("READY=1")
    try:
        get(daemon.url + "/healthz")
        expect(False, "the old address still answers")
    except urllib.error.URLError:
        pass
    summary = daemon.stop(signal.SIGTERM)
    expect(summary["hazards"] == 0 and untouched(one.pid, probes), "hazards in the summary, or probes in the text")
    for target in (one, two):
        target.finish()


@case("daemon/addresses", builds=PLAIN)
def addresses(context):
    """A socket file for its owner alone; addresses open to others, and those in use, are refused before anything."""
    path = context.scratch / "metrics.sock"
    daemon = Mapwatch(context, "daemon", "-v", *only_below(context.scratch), "--metrics-listen", f"unix:{path}")
    expect(daemon.err.wait("metrics at unix:", 30), f"{daemon.err.text()[-400:]}")
    expect(path.stat().st_mode & 0o777 == 0o600, f"mode {path.stat().st_mode:o}")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        expect(client.recv(4096).startswith(b"HTTP/1.1 200"), "no answer at the socket")
    status, _, err = run_to_end(context, "daemon", "--metrics-listen", f"unix:{path}")
    expect(status == 1 and "another process does" in err, f"{status}: {err}")
    daemon.stop(signal.SIGTERM)
    expect(not path.exists(), "the socket file is left")
    for listen in ("0.0.0.0:0", "[::]:0", "192.0.2.7:9750"):
        status, _, err = run_to_end(context, "daemon", "--metrics-listen", listen)
        expect(status == 2 and f"metrics-listen {listen} is open to other hosts" in err, f"{listen}: {status}: {err}")


@case("daemon/configuration")
def configuration(context):
    """Drop-ins in order, an unknown key is an error with its file and line, --print-config tells origins."""
    config, drop_ins = context.scratch / "mapwatch.toml", context.scratch / "conf.d"
    drop_ins.mkdir()
    config.write_text("budget = 2%\n[metrics]\nlisten = none\n")
    (drop_ins / "10-a.toml").write_text("[daemon]\nbudget = 3%\n")
    status, out, err = run_to_end(context, "daemon", "--config", config, "--print-config")
    expect(status == 0 and re.search(rf"^budget = 3% +# {drop_ins}/10-a.toml:2$", out, re.MULTILINE), f"{status}: {out}{err}")
    expect(re.search(rf"^metrics-listen = none +# {config}:3$", out, re.MULTILINE), out)
    (drop_ins / "20-b.toml").write_text("[metrics]\nlisen = none\n")
    status, _, err = run_to_end(context, "daemon", "--config", config)
    expect(status == 2 and f"{drop_ins}/20-b.toml:2: unknown key lisen" in err and "did you mean listen?" in err, f"{status}: {err}")
