"""What `mapwatch export` prints for those who run it: rules in promtool's hands, each panel's query in a real Prometheus
that scrapes a real daemon, the unit in systemd's own judgement and in force, the manifests against Kubernetes' schemas."""
import json
import re
import shutil
import signal
import subprocess
import time

from .daemon import race_until
from .exported import exported
from .fixtures import ROOT
from .harness import case, expect, wait_for
from .lifecycle import PLAIN
from .process import Target, run_to_end
from .served import Daemon, Prometheus
from .whole_host import copy_of

usages = ("dashboard", "rules", "unit", "k8s", "man", "schema")


@case("export/what-takes-no-more-words")
def no_more_words(context):
    for what in usages:
        status, out, err = run_to_end(context, "export", what, "more")
        expect(status == 2 and not out and "mapwatch export" in err, f"export {what} more: {status}, {err}")


def said_by(*command, **options):
    """What a program says in all; its status must be 0."""
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **options)
    expect(done.returncode == 0, f"{command[0]} {command[1]}: status {done.returncode}: {done.stdout[-3000:]}")
    return done.stdout


# ---- rules ----

RULES_TESTS = sorted((ROOT / "tests/fixtures/prometheus").glob("*_test.yaml"))


def rules_file(context):
    path = context.scratch / "rules.yaml"
    path.write_text(exported(context, "rules"))
    return path


@case("export/rules-fire-where-they-must")
def rules(context):
    import yaml
    path = rules_file(context)
    said = said_by("promtool", "check", "rules", path)
    expect(re.search(r"SUCCESS: \d+ rules found", said) and "warn" not in said.lower() and "lint" not in said.lower(), said)
    for test in RULES_TESTS:
        shutil.copy(test, context.scratch)
    said = said_by("promtool", "test", "rules", *(context.scratch / test.name for test in RULES_TESTS))
    expect(len(RULES_TESTS) == said.count("SUCCESS") > 1 and "FAILED" not in said, said)
    # No alert without a series that fires it.
    alerts = {rule["alert"] for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"] if "alert" in rule}
    untested = {alert for alert in alerts if not any(alert in test.read_text() for test in RULES_TESTS)}
    expect(len(alerts) >= 10 and not untested, f"no test names {untested}")


# What is spoiled in the rules, and the test that must see it.
SPOILED = ((">= 14.4", ">= 501", "a program with hazards"), ("vector(0.001)", "vector(0.1)", "a program with hazards"),
           ("86400 * ", "", "one crash burns"), ('mode=~"auto.*"', 'mode=~".*"', "only who is kept"),
           ("gone|unsupported", "gone", "mapwatch itself"), ('{job="mapwatch"}', "", "mapwatch itself"), ("> 120", "> 12000", "mapwatch itself"))


@case("export/rules-that-are-spoiled-are-found")
def rules_spoiled(context):
    """The test of the rules is one: without an alert, or with another limit, it fails."""
    import yaml
    path = rules_file(context)
    text = path.read_text()
    tests = yaml.safe_load(next(test for test in RULES_TESTS if "slow" not in test.name).read_text())
    for old, new, name in SPOILED:
        expect(old in text, f"no {old} in the rules")
        path.write_text(text.replace(old, new))
        (one,) = [test for test in tests["tests"] if test["name"].startswith(name)]
        alone = context.scratch / "alone.yaml"
        alone.write_text(yaml.safe_dump({**tests, "tests": [one]}))
        done = subprocess.run(["promtool", "test", "rules", alone], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        expect(done.returncode != 0 and "FAILED" in done.stdout, f"{old} as {new}: nobody minds")


@case("export/rules-in-a-real-prometheus", builds=PLAIN)
def rules_live(context):
    """It evaluates them all over what a real daemon counts: no error, and the recorded series of a racy program burns."""
    daemon, server, racy = seen_by_prometheus(context, rules=rules_file(context))
    burn = wait_for("the burn of a racy program", lambda: [
        (labels, value) for labels, value in server.query("exe:mapwatch_hazards:burn5m") if value > 14.4], 60, step=0.5)
    expect([labels["exe"] for labels, _ in burn] == [str(racy)], f"{burn}")
    firing = wait_for("alerts", lambda: {
        (labels["alertname"], labels.get("window")) for labels, _ in server.query('ALERTS{alertstate="firing"}')}, 30, step=0.5)
    wanted = {("MapwatchHazardSeen", None), ("MapwatchHazardsBurnBudget", "1h"), ("MapwatchHazardsBurnBudget", "6h")}
    if not wanted <= firing:
        firing = wait_for(f"{wanted}", lambda: wanted <= {
            (labels["alertname"], labels.get("window")) for labels, _ in server.query('ALERTS{alertstate="firing"}')}, 60, step=0.5)
    groups = server.api("rules")["groups"]
    ill = [(rule["name"], rule.get("lastError")) for group in groups for rule in group["rules"] if rule["health"] == "err"]
    expect(groups and not ill, f"{ill}")
    daemon.stop(signal.SIGTERM)


# ---- dashboard ----

def seen_by_prometheus(context, rules=None):
    """A daemon that has watched a calm program and warned of a racy one, and a Prometheus that saw the counters rise."""
    racy, calm = copy_of(context, "racy"), copy_of(context, "calm")
    context.own(Target(calm, "rw3", pace="1ms", held=False))
    daemon = Daemon(context)
    server = Prometheus(context, daemon.url.removeprefix("http://"), rules=rules)
    counted = lambda: sum(value for _, value in server.query(f'increase(mapwatch_hazards_total{{exe="{racy}"}}[10m])'))
    # Each run that crashes and the sightings that came before; until both are seen to rise.
    crashed = lambda: sum(value for _, value in server.query(f'increase(mapwatch_crashes_total{{exe="{racy}"}}[10m])'))
    # The first one may be attached before the first scrape: then a second one is needed to be seen to come.
    came = lambda: sum(value for _, value in server.query("increase(mapwatch_attach_duration_seconds_count[1m])"))
    end = time.monotonic() + 120
    while time.monotonic() < end and not (counted() > 0 and crashed() > 0 and came() > 0):
        target = context.own(Target(racy, "write_read", pace="500us"))
        daemon.attached(target.pid)
        # Prometheus must have seen the 0 from which it counts.
        wait_for("the program in Prometheus", lambda: server.query(f'mapwatch_watched_seconds_total{{exe="{racy}"}}'), 30, step=0.2)
        target.release()
        daemon.wait_hazard(5, lambda h, pid=target.pid: h["process"]["pid"] == pid)
        target.child.wait(20) if not target.running() else time.sleep(2)
        target.close()
        time.sleep(2)  # two scrapes
    expect(counted() > 0, "Prometheus saw no hazard come")
    return daemon, server, racy


def queries(dashboard):
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]


# What a real daemon of a minute has nothing for; everything else must give a value.
MAY_BE_EMPTY = {"Time that crashing processes were held"}


@case("export/dashboard-s-queries-have-answers", builds=PLAIN)
def dashboard(context):
    board = json.loads(exported(context, "dashboard"))
    expect(board["uid"] == "mapwatch" and board["schemaVersion"] >= 36, f"{board['uid']}")
    variables = {v["name"]: v for v in board["templating"]["list"]}
    expect(variables["datasource"]["type"] == "datasource" and set(variables) == {"datasource", "instance", "exe"}, f"{set(variables)}")
    ids, places = [p["id"] for p in board["panels"]], set()
    expect(len(set(ids)) == len(ids), "two panels have one id")
    for panel in board["panels"]:
        grid = panel["gridPos"]
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        expect(grid["x"] + grid["w"] <= 24 and not cells & places, f"{panel['title']} lies over another")
        places |= cells
        for one in [panel, *panel.get("targets", [])]:
            expect(panel["type"] == "row" or one["datasource"]["uid"] == "${datasource}", f"{panel['title']}: datasource")
    daemon, server, racy = seen_by_prometheus(context)
    for variable in ("instance", "exe"):
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables[variable]["definition"]).groups()
        expect(label == variable and any(label in labels for labels, _ in server.query(metric)), f"${variable} has no values")
    empty = []
    for title, expression in queries(board):
        for old, new in (("$__rate_interval", "1m"), ("$__range", "10m"), ("$instance", ".*"), ("$exe", ".*")):
            expression = expression.replace(old, new)
        expect("$" not in expression, f"{title}: {expression}")
        values = [value for _, value in server.query(expression)]  # an error of the query fails here
        if not [v for v in values if v == v] and title not in MAY_BE_EMPTY:
            empty.append((title, expression))
    expect(not empty, f"no result: {empty}")
    of = {title: expression for title, expression in queries(board)}
    hazards = server.query(of["Hazards"].replace("$__range", "10m").replace("$instance", ".*").replace("$exe", re.escape(str(racy)).replace("\\", "\\\\")))
    expect(hazards and hazards[0][1] > 0, f"Hazards: {hazards}")
    daemon.stop(signal.SIGTERM)


# ---- unit ----

@case("export/unit-is-what-systemd-takes")
def unit(context):
    path = context.scratch / "mapwatch.service"
    # Its program and its manual are not installed here.
    text = exported(context, "unit").replace("/usr/bin/mapwatch", context.mapwatch)
    path.write_text(re.sub("^Documentation=.*\n", "", text, flags=re.MULTILINE))
    said = said_by("systemd-analyze", "verify", path)
    expect(not said.strip(), f"systemd-analyze verify: {said}")
    said = said_by("systemd-analyze", "security", "--offline=true", "--no-pager", path)
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)[1])
    expect(exposure <= 3.5, said)
    for line in ("Type=notify", "WatchdogSec=60", "KillMode=process", "RuntimeDirectoryPreserve=yes"):
        expect(f"\n{line}\n" in text, f"no {line}")


def of_unit(text, key):
    return " ".join(re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)).split()


def system_calls(text):
    """The names that the unit allows, as systemd works them out."""
    allowed = set()
    for value in re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE):
        names = set()
        waiting = value.removeprefix("~").split()
        while waiting:
            word = waiting.pop()
            if word.startswith("@"):
                waiting += [line.strip() for line in said_by("systemd-analyze", "syscall-filter", word).splitlines()[1:]
                            if line.strip() and not line.strip().startswith("#")]
            else:
                names.add(word)
        allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed


def held_and_told(context, daemon, racy):
    """Runs the racy program until it was warned of and has crashed; ends the daemon. Each crash was held and has a dossier."""
    race_until(context, daemon, racy, lambda: daemon.kind("hazard") and daemon.kind("crash"), 10)
    daemon.scrape_until("the findings", lambda s: s.sum("mapwatch_queue_length") == 0)
    daemon.stop(signal.SIGTERM)
    hazards, crashes = daemon.kind("hazard"), daemon.kind("crash")
    expect(hazards and crashes, f"{len(hazards)} hazards, {len(crashes)} crashes: {daemon.err.text()[-800:]}")
    expect(all(c["frozen_ns"] and c["dossier"] for c in crashes), f"{crashes}: {daemon.err.text()[-800:]}")


@case("export/unit-allows-what-the-daemon-needs", builds=PLAIN)
def unit_in_force(context):
    """With no other capability and no other system call than the unit's, by a filter that answers as systemd's: a warning,
    a crash that is held, and its dossier."""
    text = exported(context, "unit")
    names = sorted(system_calls(text))
    expect(100 < len(names) < 400 and "mount" not in names and "setpriority" not in names, f"{len(names)} system calls")
    capabilities = ",".join("+" + name.removeprefix("CAP_").lower() for name in of_unit(text, "CapabilityBoundingSet"))
    filtered = context.scratch / "filtered.py"
    filtered.write_text(
        "import errno, os, sys\nimport seccomp\n"
        "allow = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))\n"
        f"for name in {names!r}:\n"
        "    try:\n        allow.add_rule(seccomp.ALLOW, name)\n"
        "    except (RuntimeError, ValueError):\n        pass  # another machine's\n"
        "allow.load()\nos.execv(sys.argv[1], sys.argv[1:])\n")
    racy = copy_of(context, "racy")
    wrap = ["setpriv", f"--bounding-set=-all,{capabilities}", f"--inh-caps=-all,{capabilities}", "--no-new-privs",
            "/usr/bin/python3", filtered]
    daemon = Daemon(context, wrap=wrap)
    status = open(f"/proc/{daemon.pid}/status").read()
    expect("Seccomp:\t2" in status and "NoNewPrivs:\t1" in status, status)
    bits = int(re.search(r"CapEff:\t(\w+)", status)[1], 16)
    expect(bin(bits).count("1") == len(of_unit(text, "CapabilityBoundingSet")), f"CapEff {bits:x}")
    held_and_told(context, daemon, racy)
    for word in ("not permitted", "cannot take a lease", "will not be frozen", "no cgroup of its own"):
        expect(word not in daemon.err.text(), daemon.err.text())
