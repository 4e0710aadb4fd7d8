"""Our alerts in the hands of a real Alertmanager and its amtool: who is told of what, by the configuration that we bring."""
import json
import re
import shutil
import signal
import subprocess

from .daemon import race
from .fixtures import ROOT
from .harness import Skipped, case, expect, wait_for
from .lifecycle import PLAIN
from .process import Target
from .receivers import Alertmanager, Webhook
from .served import Daemon
from .whole_host import copy_of

RECIPE = ROOT / "docs/recipes/alertmanager.yaml"
HAZARD, CRASH = "MapwatchConcurrentMapAccess", "MapwatchCrash"


def amtool(*words, status=0):
    if not shutil.which("amtool") or not shutil.which("prometheus-alertmanager"):
        raise Skipped("prometheus-alertmanager is not installed: make deps")
    done = subprocess.run(["amtool", *map(str, words)], capture_output=True, text=True, timeout=60)
    expect(done.returncode == status, f"amtool {words}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout


def crash(context, daemon, binary):
    """The racy program dies of its race under the daemon's eyes: what that writes of it."""
    target = context.own(Target(binary, "write_write", pace="0"))
    daemon.attached(target.pid)
    target.release()
    expect(target.wait(60) == 2, "it did not crash")
    return wait_for("the crash", lambda: [c for c in daemon.kind("crash") if c["process"]["pid"] == target.pid], 20)[0]


def served_by(context, pager, tickets, text):
    """An Alertmanager with the recipe, whose two receivers are these, and which does not wait long; and its amtool's queries."""
    for name, hook in (("pager", pager), ("tickets", tickets)):
        hook.check_one = lambda headers, body: None  # Alertmanager's own requests have no key of ours
        text = text.replace(f"http://127.0.0.1:9095/{name}", hook.url)
    server = Alertmanager(context, text=text.replace("group_wait: 10s", "group_wait: 1s").replace("group_interval: 1m", "group_interval: 2s"))
    return server, lambda *words: json.loads(amtool("alert", "query", f"--alertmanager.url={server.url}", "-o", "json", *words))


def group(alertname, exe):
    return lambda body: body["groupLabels"] == {"alertname": alertname, "exe": str(exe)}


@case("alerts/recipe-alertmanager")
def recipe(context):
    """amtool finds nothing wrong with it, and it sends each of our alerts where its comments say."""
    amtool("check-config", RECIPE)
    spoiled = context.scratch / "spoiled.yaml"
    spoiled.write_text(RECIPE.read_text().replace("receiver: pager", "receiver: nobody"))
    amtool("check-config", spoiled, status=1)
    for labels, wanted in (((f"alertname={CRASH}", "severity=critical"), "pager"), ((f"alertname={HAZARD}", "severity=warning"), "tickets"),
                           (("alertname=MapwatchHazardsBurnBudget", "severity=page"), "pager"),
                           (("alertname=MapwatchHazardsBurnBudget", "severity=ticket"), "tickets"),
                           (("alertname=DiskFull", "severity=critical"), "tickets")):
        got = amtool("config", "routes", "test", f"--config.file={RECIPE}", *labels).split()
        expect(got == [wanted], f"{labels} goes to {got}")


@case("alerts/recipe-alertmanager-calls-once")
def inhibits(context):
    """The warnings of what has crashed call nobody; those of others do."""
    amtool("--version")
    tickets = Webhook(context)
    server, ask = served_by(context, Webhook(context), tickets, RECIPE.read_text())
    add = lambda alertname, exe, severity: amtool("alert", "add", f"--alertmanager.url={server.url}", f"alertname={alertname}", f"exe={exe}",
                                                  f"severity={severity}", "instance=web-1")
    add(CRASH, "/srv/a", "critical")
    wait_for("the crash", lambda: ask(f"alertname={CRASH}"), 20)
    add(HAZARD, "/srv/a", "warning")
    wait_for("it is inhibited", lambda: ask("--inhibited", f"alertname={HAZARD}", "exe=/srv/a"), 20)
    add(HAZARD, "/srv/b", "warning")
    tickets.wait("the other", group(HAZARD, "/srv/b"))  # it came later, and waited as long for its group
    expect(not any(group(HAZARD, "/srv/a")(body) for _, body, _ in tickets.taken), "told of what was inhibited")


@case("alerts/amtool", builds=PLAIN)
def query_and_silence(context):
    """A real crash wakes the pager and nobody else, a hazard is a ticket; amtool finds both by our labels and silences by them."""
    amtool("--version")
    pager, tickets = Webhook(context), Webhook(context)
    # Without the inhibition: any of these programs may crash.
    server, ask = served_by(context, pager, tickets, re.sub(r"(?s)inhibit_rules:.*?\n\n", "", RECIPE.read_text()))
    daemon = Daemon(context, "--alertmanager", server.url, "--alert-wait", "100ms", "--alert-interval", "1s", "--state-dir",
                    context.scratch / "state")
    dead, racy, silenced = (copy_of(context, name) for name in ("dead", "racy", "silenced"))
    found = crash(context, daemon, dead)
    body = pager.wait("the crash", group(CRASH, dead))
    expect([a["labels"]["id"] for a in body["alerts"]] == [found["id"]], f"{body}")
    known = wait_for("the crash", lambda: ask(f"alertname={CRASH}", f"exe={dead}", "severity=critical"), 20)
    expect([(a["labels"]["id"], a["labels"]["kind"], a["annotations"]["dossier"]) for a in known] ==
           [(found["id"], found["class"], found["dossier"])], f"{[a['labels'] for a in known]}, {found}")
    expect(ask(f"exe={dead}", "kind=clone_write") == [], "by a label that it does not have")

    amtool("silence", "add", f"--alertmanager.url={server.url}", "--author=test", "--comment=known", "--duration=1h",
           f"exe={silenced}", f"alertname={HAZARD}")
    race(context, daemon, silenced)
    hidden = wait_for("what is silenced", lambda: ask("--silenced", f"exe={silenced}", f"alertname={HAZARD}"), 20)
    expect({a["labels"]["id"] for a in hidden} <= {h["id"] for h in daemon.kind("hazard")}, f"{hidden}")
    expect(ask(f"exe={silenced}", f"alertname={HAZARD}") == [], "it is active, too")
    race(context, daemon, racy)
    tickets.wait("the hazard", group(HAZARD, racy))
    taken = [body for _, body, _ in tickets.taken]
    # It came later and waited as long for its group.
    expect(not any(map(group(HAZARD, silenced), taken)), "told of what was silenced")
    expect(not any(b["groupLabels"]["alertname"] == CRASH for b in taken), "a crash is a ticket")
    expect(all(b["groupLabels"]["alertname"] == CRASH for _, b, _ in pager.taken), "a hazard woke somebody")
    daemon.stop(signal.SIGTERM)
