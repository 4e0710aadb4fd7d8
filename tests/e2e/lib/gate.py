"""mapwatch gate: exit statuses against a real Prometheus that has thirty days of made-up history, against the history that a
daemon wrote of real programs, and what is let through with a reason."""
import json
import os
import shutil
import sqlite3
import subprocess
import time

from .bad_input import usage
from .fixtures import ROOT
from .harness import case, expect
from .lifecycle import PLAIN
from .process import Target, run_to_end
from .served import Daemon, Prometheus
from .whole_host import copy_of

OPEN, FROZEN, WARNING, NO_DATA = 0, 10, 11, 12
MINUTE, HOUR, DAY = 60, 3600, 86400

usage("gate-nothing-asked", "gate")
usage("gate-canary-alone", "gate", "--canary", "x", words=["--baseline"])
usage("gate-override-without-a-reason", "gate", "--slo", "/dev/null", "--override", words=["--reason"])
usage("gate-no-such-file", "gate", "--slo", "/does/not/exist", words=["/does/not/exist"])
usage("gate-no-address", "gate", "--slo", "SLO", "--prometheus", "localhost:9090")


def slo_file(context, text):
    path = context.scratch / "slo.yaml"
    path.write_text(text)
    return path


def gate(context, *args):
    status, out, err = run_to_end(context, "gate", "-o", "json", "--state-dir", context.scratch / "state", *args)
    return status, json.loads(out) if out else None, err


def history(context, rows):
    """Rows of (seconds ago, exe, watched, hazard, crashes, overhead), as the daemon would have written them."""
    (context.scratch / "state").mkdir(exist_ok=True)
    with sqlite3.connect(context.scratch / "state/history.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE sample(time_s INTEGER NOT NULL, exe TEXT NOT NULL, watched_s REAL NOT NULL, hazard_s REAL NOT NULL,"
                         " crashes INTEGER NOT NULL, overhead REAL NOT NULL, PRIMARY KEY(time_s, exe)) WITHOUT ROWID")
        now = int(time.time())
        database.executemany("INSERT INTO sample VALUES(?,?,?,?,?,?)", [(now - ago, *rest) for ago, *rest in rows])
    database.close()


HAZARDS = "service: orders\nobjectives:\n  - {name: races, kind: hazards, target: 99%}\n"


@case("gate/by-the-history-of-this-host")
def by_history(context):
    slo = slo_file(context, HAZARDS)
    status, said, err = gate(context, "--slo", slo)
    expect(status == NO_DATA and said["verdict"] == "no_data" and "history.db" in err, f"nothing there: {status}, {err}")
    calm = [(ago, "/srv/a", 3600, 0, 0, 0.005) for ago in range(HOUR, 20 * DAY, HOUR)]
    history(context, calm)
    status, said, _ = gate(context, "--slo", slo)
    expect(status == OPEN and said["objectives"][0]["remaining"] == 1, f"calm: {status}, {said}")
    with sqlite3.connect(context.scratch / "state/history.db") as database:
        database.execute("UPDATE sample SET hazard_s = 30")
    database.close()
    status, said, _ = gate(context, "--slo", slo)
    expect(status == WARNING and 0 < said["objectives"][0]["remaining"] < 0.25, f"low: {status}, {said}")
    with sqlite3.connect(context.scratch / "state/history.db") as database:
        database.execute("UPDATE sample SET hazard_s = 40")
    database.close()
    status, said, _ = gate(context, "--slo", slo)
    expect(status == FROZEN and said["objectives"][0]["remaining"] < 0, f"used up: {status}, {said}")
    status, said, _ = gate(context, "--slo", slo, "--override", "--reason", "mends the outage")
    expect(status == 0 and said["overridden"] and said["verdict"] == "frozen", f"overridden: {status}, {said}")
    notes = context.scratch / "state/gate-overrides.jsonl"
    note = json.loads(notes.read_text())
    expect(note["reason"] == "mends the outage" and note["verdict"] == "frozen" and note["uid"] == os.getuid(), f"{note}")
    expect(notes.stat().st_mode & 0o777 == 0o600, oct(notes.stat().st_mode))


@case("gate/history-that-is-none")
def no_history(context):
    (context.scratch / "state").mkdir()
    (context.scratch / "state/history.db").write_text("something else\n" * 100)
    for asked in (("--slo", slo_file(context, HAZARDS)), ("--canary", "a", "--baseline", "b")):
        status, said, err = gate(context, *asked)
        expect(status == 1 and said is None and "history.db" in err and "move it away" in err, f"{asked}: {status}, {said}, {err}")


@case("gate/canary-beside-its-baseline")
def canary(context):
    status, said, err = gate(context, "--canary", "*/v2", "--baseline", "*/v1")
    expect(status == NO_DATA and said["verdict"] == "no_data" and "history.db" in err, f"nothing there: {status}, {err}")
    rows = [(ago, "/srv/v1", 60, 0, 0, 0.005) for ago in range(MINUTE, HOUR, MINUTE)]
    history(context, rows + [(ago, "/srv/v2", 60, 0, 0, 0.005) for ago in range(MINUTE, HOUR // 2, MINUTE)])
    asked = ("--canary", "*/v2", "--baseline", "*/v1")
    status, said, _ = gate(context, *asked)
    expect(status == 0 and said["verdict"] == "go", f"no worse: {status}, {said}")
    with sqlite3.connect(context.scratch / "state/history.db") as database:
        database.execute("UPDATE sample SET crashes = 1 WHERE exe = '/srv/v2' AND time_s % 5 = 0 OR exe = '/srv/v2' AND hazard_s = 0")
    database.close()
    status, said, _ = gate(context, *asked)
    expect(status == FROZEN and said["verdict"] == "roll_back" and said["crash_p"] < 0.05, f"crashes: {status}, {said}")
    status, said, _ = gate(context, "--canary", "*/v3", "--baseline", "*/v1")
    expect(status == NO_DATA, f"never seen: {status}, {said}")


RECIPES = ROOT / "docs/recipes"


def pipeline(context, **more):
    """The environment of a job: mapwatch and the recipes are in PATH, and ssh comes to this very host."""
    programs = context.scratch / "bin"
    programs.mkdir(exist_ok=True)
    if not (programs / "ssh").exists():
        (programs / "mapwatch").symlink_to(os.path.realpath(context.mapwatch))
        (programs / "ssh").write_text('#!/bin/sh\n[ "$1" = web-1 ] || exit 255\nshift\nexec sh -c "$*"\n')
        (programs / "ssh").chmod(0o755)
    return dict(os.environ, PATH=f"{programs}:{RECIPES}:{os.environ['PATH']}", MAPWATCH_STATE_DIR=str(context.scratch / "state"),
                CANARY_HOST="web-1", **more)


def roll_back(context, status=0):
    """A command that notes that it was run; and how often that was."""
    script, notes = context.scratch / "roll-back", context.scratch / "rolled-back"
    notes.unlink(missing_ok=True)
    script.write_text(f"#!/bin/sh\necho \"$*\" >> '{notes}'\nexit {status}\n")
    script.chmod(0o755)
    return script, lambda: notes.read_text().splitlines() if notes.exists() else []


@case("gate/recipe-after-deploy")
def after_deploy(context):
    """The hook rolls back what is worse and nothing else, and no failure lets a release go on."""
    script, ran = roll_back(context)

    def hook(*command, canary="/srv/v2", **more):
        done = subprocess.run(["after-deploy", canary, "/srv/v1", *command], env=pipeline(context, **more), capture_output=True, text=True,
                              timeout=60)
        return done.returncode, done.stderr
    expect(hook(script)[0] == NO_DATA and not ran(), "rolled back, and nothing is known")
    rows = [(ago, "/srv/v1", 60, 0, 0, 0.005) for ago in range(MINUTE, HOUR, MINUTE)]
    history(context, rows + [(ago, exe, 60, 0, crashes, 0.005) for ago in range(MINUTE, HOUR, MINUTE)
                             for exe, crashes in (("/srv/v2", 0), ("/srv/v3", 1))])
    expect(hook(script)[0] == 0 and not ran(), "what is no worse does not go on")
    expect(hook(script)[0] == 0 and hook(script, SINCE="soon")[0] == 2 and not ran(), "a span that is none")
    status, err = hook(script, "orders", "v1", canary="/srv/v3")
    expect(status == FROZEN and ran() == ["orders v1"], f"{status}, {ran()}: {err}")
    script, ran = roll_back(context, status=7)
    status, err = hook(script, canary="/srv/v3")
    expect(status == 1 and len(ran()) == 1 and "failed with status 7" in err, f"{status}, {ran()}: {err}")
    expect(hook()[0] == 2, "without a command")


@case("gate/recipe-ci")
def ci(context):
    """The scripts of the jobs end as the gate says, by a real Prometheus and by the history of the host of the canary."""
    import yaml
    jobs = yaml.safe_load((RECIPES / "ci.yaml").read_text())
    expect([job for job in jobs if job != "stages"] == ["budget", "canary"], f"{list(jobs)}")

    def job(name, change=lambda text: text, **more):
        script = change("\n".join(jobs[name]["script"]))
        return subprocess.run(["sh", "-euc", script], cwd=context.scratch, env=pipeline(context, **more), capture_output=True, text=True,
                              timeout=60)
    slo = str(slo_file(context, HAZARDS))
    passes = {0, jobs["budget"]["allow_failure"]["exit_codes"]}
    for share, wanted, goes_on in ((0.009, WARNING, True), (0.02, FROZEN, False)):
        prometheus = with_history(context, counters(share))
        done = job("budget", SLO=slo, PROMETHEUS=prometheus.url)
        expect(done.returncode == wanted and (wanted in passes) == goes_on, f"hazards in {share}: {done.returncode} {done.stderr}")
        said = json.loads((context.scratch / "gate.json").read_text())
        expect(said["kind"] == "gate" and jobs["budget"]["artifacts"]["paths"] == ["gate.json"], f"{said}")
        prometheus.close()
        shutil.rmtree(context.scratch / "prometheus")
    expect(job("budget", SLO=slo, PROMETHEUS=prometheus.url).returncode not in passes, "goes on, and nobody answered")

    script, ran = roll_back(context)
    here = lambda text: text.replace("/srv/orders/roll-back", str(script))
    rows = [(ago, "/srv/orders/stable/a", 60, 0, 0, 0.005) for ago in range(MINUTE, HOUR, MINUTE)]
    history(context, rows + [(ago, "/srv/orders/canary/a", 60, 0, 0, 0.005) for ago in range(MINUTE, HOUR, MINUTE)])
    done = job("canary", here)
    expect(done.returncode == 0 and not ran(), f"no worse: {done.returncode} {done.stderr}")
    with sqlite3.connect(context.scratch / "state/history.db") as database:
        database.execute("UPDATE sample SET crashes = 1 WHERE exe LIKE '%canary%'")
    database.close()
    done = job("canary", here)
    expect(done.returncode == FROZEN and len(ran()) == 1, f"worse: {done.returncode} {ran()} {done.stderr}")


def with_history(context, samples):
    """A real Prometheus whose data promtool made of OpenMetrics text."""
    folder = context.scratch / "prometheus"
    folder.mkdir()
    (folder / "history.om").write_text("".join(f"{line}\n" for line in samples) + "# EOF\n")
    made = subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "history.om", folder / "data"],
                          capture_output=True, text=True)
    expect(made.returncode == 0, f"promtool: {made.stderr[-500:]}")
    return Prometheus(context)


def counters(hazard_share, exe="/srv/orders"):
    """Thirty days, a sample every ten minutes: seconds watched, and of these with hazards."""
    now = int(time.time()) // 600 * 600
    lines = {"watched": [], "hazard": []}
    for step in range(30 * 144 + 1):
        at = now - (30 * 144 - step) * 600
        lines["watched"].append(f'mapwatch_watched_seconds_total{{exe="{exe}"}} {step * 600} {at}')
        lines["hazard"].append(f'mapwatch_hazard_seconds_total{{exe="{exe}"}} {step * 600 * hazard_share} {at}')
    return ["# TYPE mapwatch_watched_seconds counter", *lines["watched"], "# TYPE mapwatch_hazard_seconds counter", *lines["hazard"]]


@case("gate/by-a-real-prometheus")
def by_prometheus(context):
    for share, wanted in ((0.002, OPEN), (0.02, FROZEN)):
        prometheus = with_history(context, counters(share))
        slo = slo_file(context, HAZARDS.replace("99%", "99%, exe: '/srv/[!x]*'"))
        status, said, err = gate(context, "--slo", slo, "--prometheus", prometheus.url)
        expect(status == wanted, f"hazards in {share}: status {status}, {said}, {err}")
        remaining = said["objectives"][0]["remaining"]
        expect(abs(remaining - (1 - share / 0.01)) < 0.02, f"remaining {remaining}")
        status, said, _ = gate(context, "--slo", slo_file(context, HAZARDS.replace("99%", "99%, exe: /opt/none")), "--prometheus",
                               prometheus.url)
        expect(status == NO_DATA, f"an executable that is not there: {status}, {said}")
        wrong = slo_file(context, "service: a\nobjectives:\n  - {name: a, kind: ratio, target: 99%, error_query: 'sum((x[$window])', "
                                  "total_query: 'x[$window]'}\n")
        status, _, err = gate(context, "--slo", wrong, "--prometheus", prometheus.url)
        expect(status == 1 and "parse error" in err, f"a query that is none: {status}, {err}")
        prometheus.close()
        status, _, err = gate(context, "--slo", slo, "--prometheus", prometheus.url)
        expect(status == 1 and prometheus.url in err, f"nobody there: {status}, {err}")
        shutil.rmtree(context.scratch / "prometheus")


@case("gate/history-that-the-daemon-writes", builds=PLAIN)
def written(context):
    """A program that crashes of its race under the daemon, and the gate that is closed by it."""
    state = context.scratch / "state"
    daemon = context.own(Daemon(context, "--state-dir", state))
    for _ in range(2):
        target = context.own(Target(copy_of(context, "racy"), "write_write", pace="0"))
        daemon.attached(target.pid)
        target.release()
        target.wait(60)
    daemon.stop()
    slo = slo_file(context, "service: racy\nobjectives:\n  - {name: crashes, kind: crashes, exe: '*/racy', most: 0.1/day}\n")
    status, said, err = gate(context, "--slo", slo)
    expect(status == FROZEN and said["objectives"][0]["value"] > 100, f"{status}, {said}, {err}")
